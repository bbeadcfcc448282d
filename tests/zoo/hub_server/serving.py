"""HTTP itself: one request in, one counted answer out, with ranges, conditions and faults."""

import json
import logging
import os
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader, BytesIO
from socketserver import TCPServer
from threading import Condition, Thread
from typing import Any, BinaryIO
from urllib.parse import parse_qs, quote, unquote

from .content import File
from .faults import NO_FAULT, Fault
from .state import Exchange, State

CHUNK = 1 << 20  # bytes
LOG = logging.getLogger(__name__)
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class RefusalError(Exception):
    """An answer that is an error; `code` becomes X-Error-Code, which decides what the client raises."""

    def __init__(self, status: int, code: str | None, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if code:
            self.headers["X-Error-Code"] = code
        # A header takes visible ASCII only, and the message may quote the request.
        self.headers["X-Error-Message"] = re.sub(r"[^ -~]", "?", message)


class Handler(BaseHTTPRequestHandler):
    """The base of both origins; a subclass has `origin` and `route()`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "zoo"
    origin = ""
    server: "Listener"

    def do_GET(self) -> None:
        raw, _, query = self.path.partition("?")
        self.raw_path = raw
        self.segments = [unquote(segment) for segment in raw.split("/")[1:]]
        self.query = parse_qs(query)
        self.state = self.server.state
        self.exchange = self._begin(unquote(raw), query)
        self.form = self._read_form()
        self.fault = self.state.faults.take_early(self._subjects(), self.command)
        try:
            self._strike_early()
            self.route()
        except RefusalError as refusal:
            self.send_json({"error": str(refusal)}, refusal.status, refusal.headers)

    do_HEAD = do_POST = do_GET  # noqa: N815 (http.server looks these names up)

    def route(self) -> None:
        raise NotImplementedError

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        LOG.debug(format, *args)

    def send_json(self, value: object, status: int, headers: Mapping[str, str]) -> None:
        body = json.dumps(value, default=str).encode()
        self._start(status, {"Content-Type": "application/json; charset=utf-8", **headers}, len(body))
        if self.command != "HEAD":
            self._send_pieces(BytesIO(body), 0, len(body), self._body_fault())

    def send_empty(self, status: int, headers: Mapping[str, str]) -> None:
        self._start(status, headers, None if status == 304 else 0)

    def send_file(self, file: File, headers: Mapping[str, str]) -> None:
        """The answer to GET or HEAD of a file: 200, 206, 304, 412 or 416."""
        etag = f'"{file.etag}"'
        headers = {"ETag": etag, "Accept-Ranges": "bytes", **headers}
        if etag in _listed(self.headers.get("If-None-Match")):
            self.send_empty(304, headers)
            return
        if "If-Match" in self.headers and etag not in _listed(self.headers["If-Match"]):
            raise RefusalError(412, None, "the file has another ETag")
        name = quote(file.path.rpartition("/")[2])
        headers |= {"Content-Type": "application/octet-stream"}
        headers |= {"Content-Disposition": f"inline; filename*=UTF-8''{name}; filename=\"{name}\";"}
        if self.command == "HEAD":
            self._start(200, headers, file.size)
            return
        with file.source.open("rb") as stream:
            self._send_stream(stream, etag, headers)

    def _send_stream(self, stream: BinaryIO, etag: str, headers: Mapping[str, str]) -> None:
        size = stream.seek(0, os.SEEK_END)  # not file.size, which may be a lie
        fault = self._body_fault()
        window = None if fault.ignore_range else self._window(size, etag)
        start, stop = window or (0, size)
        if window:
            headers = {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}
        self._start(206 if window else 200, headers, stop - start)
        if fault is NO_FAULT and hasattr(os, "sendfile") and isinstance(stream, BufferedReader):
            self._sendfile(stream, start, stop)
        else:
            self._send_pieces(stream, start, stop, fault)

    def _window(self, size: int, etag: str) -> tuple[int, int] | None:
        """The half-open byte range that was asked for; None for the whole file."""
        if self.headers.get("If-Range", etag) != etag:
            return None
        match = _RANGE.fullmatch(self.headers.get("Range", "").strip())
        if match is None or match.group() == "bytes=-":
            return None  # RFC 9110 14.2: a range that is not understood (or several) may be ignored
        first, last = match.groups()
        start = int(first) if first else max(0, size - int(last))
        stop = min(size, int(last) + 1) if first and last else size
        if start >= size:
            raise RefusalError(
                416, None, "the range lies outside the file", Content_Range=f"bytes */{size}"
            )
        return (start, stop) if start < stop else None

    def _sendfile(self, stream: BinaryIO, start: int, stop: int) -> None:
        target, source = self.connection.fileno(), stream.fileno()
        while start < stop:
            size = min(CHUNK, stop - start)
            self.exchange.bytes_sent += size
            sent = 0
            try:
                sent = os.sendfile(target, source, start, size)
            finally:
                self.exchange.bytes_sent -= size - sent
            if sent == 0:
                raise ConnectionError("the file became shorter while it was served")
            start += sent

    def _send_pieces(self, stream: BinaryIO, start: int, stop: int, fault: Fault) -> None:
        stream.seek(start)
        for left, right in _pieces(start, stop, fault):
            if fault.stall and left == start + fault.stall_after:
                self.state.closing.wait(fault.stall)
            piece = bytearray(stream.read(right - left))
            if len(piece) < right - left:
                raise ConnectionError("the file became shorter while it was served")
            if fault.flip is not None and left <= fault.flip < right:
                piece[fault.flip - left] ^= 0xFF
            self.exchange.bytes_sent += len(piece)
            self.wfile.write(piece)
            if fault.rate:
                self.state.closing.wait(len(piece) / fault.rate)
        if fault.truncate is not None and fault.truncate < stop - start:
            self.close_connection = True

    def _begin(self, path: str, query: str) -> Exchange:
        span, authorized = self.headers.get("Range"), "Authorization" in self.headers
        exchange = Exchange(self.origin, self.command, path, query, span, authorized)
        self.state.begin(exchange)
        return exchange

    def _read_form(self) -> dict[str, list[str]]:
        size = int(self.headers.get("Content-Length", 0))
        return parse_qs(self.rfile.read(size).decode("utf-8", "replace"), keep_blank_values=True)

    def _strike_early(self) -> None:
        if self.fault is None:
            return
        self.state.closing.wait(self.fault.delay)
        if self.fault.status is not None:
            after = self.fault.retry_after
            headers = {} if after is None else {"Retry_After": str(after)}
            raise RefusalError(self.fault.status, None, "a fault on purpose", **headers)

    def _body_fault(self) -> Fault:
        """The fault of this answer's body; a request is struck, and counted, once."""
        if self.fault is None:
            self.fault = self.state.faults.take_body(self._subjects(), self.command) or NO_FAULT
        return self.fault

    def _subjects(self) -> tuple[str, ...]:
        """The paths that a fault may name: the request's and, for a file, `repository/path`."""
        path = "/".join(self.segments)
        found = self.state.find(self.segments)
        if found and found[1][:1] in (["resolve"], ["blob"]):
            return (f"/{path}", "/".join([found[0].id, *found[1][2:]]))
        return (f"/{path}",)

    def _start(self, status: int, headers: Mapping[str, str], length: int | None) -> None:
        self.exchange.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()


class Listener(ThreadingHTTPServer):
    """One origin on a free loopback port, a thread a connection; `stop` ends them all."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type[Handler], state: State) -> None:
        self.state = state
        self._open: set[socket.socket] = set()
        self._changed = Condition()
        super().__init__(("127.0.0.1", 0), handler)
        name = f"zoo-{handler.origin}"
        self._thread = Thread(target=self.serve_forever, args=(0.05,), name=name, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def stop(self) -> None:
        """Close every connection and wait until their threads have let go of them."""
        self.shutdown()
        self._thread.join()
        with self._changed:
            for connection in self._open:
                _shut(connection)
            if not self._changed.wait_for(lambda: not self._open, timeout=10):
                raise RuntimeError(f"{len(self._open)} connections are still open")
        self.server_close()

    def server_bind(self) -> None:
        # HTTPServer asks the name service who 127.0.0.1 is, which takes seconds on some machines.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._changed:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if isinstance(sys.exception(), ConnectionError):
            LOG.debug("the client closed the connection")  # it may stop reading when it likes
        else:
            super().handle_error(request, client_address)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        LOG.debug("the connection was closed already")


def _listed(header: str | None) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in (header or "").split(",")]


def _pieces(start: int, stop: int, fault: Fault) -> Iterator[tuple[int, int]]:
    """Half-open pieces of a body: cut where it is truncated and where it stalls, small when it is slow."""
    if fault.truncate is not None:
        stop = min(stop, start + fault.truncate)
    step = max(1, min(CHUNK, fault.rate // 20)) if fault.rate else CHUNK
    pause = start + fault.stall_after
    while start < stop:
        end = min(stop, start + step)
        if fault.stall and start < pause < end:
            end = pause
        yield start, end
        start = end
