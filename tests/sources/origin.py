"""A server that answers as a test says, byte by byte where it must."""

import socket
import struct
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Event, Thread

BODY = bytes(i * 7 % 251 for i in range(300_000))


@dataclass
class Seen:
    """One request. `connection` numbers the connections of its server."""

    connection: int
    method: str
    target: str
    headers: dict

    @property
    def range(self):
        return self.headers.get("range")


@dataclass
class Reply:
    """An answer. `cut` sends only so many bytes of the body and then ends (or resets) the connection."""

    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    reset: bool = False
    stall: bool = False
    drop_after: bool = False  # close the connection after the answer, without a word
    length: bool = True


def ranged(seen, body=BODY):
    """What a good file server answers."""
    if not seen.range:
        return Reply(200, {}, body)
    first, _, last = seen.range.removeprefix("bytes=").partition("-")
    start, stop = int(first), int(last) + 1 if last else len(body)
    stop = min(stop, len(body))
    return Reply(206, {"Content-Range": f"bytes {start}-{stop - 1}/{len(body)}"}, body[start:stop])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.number = next(self.server.numbers)

    def do_GET(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.number, self.command, self.path, headers)
        self.server.seen.append(seen)
        reply = self.server.answer(seen)
        if reply is None:  # hang up instead of answering
            self.close_connection = True
            return
        self.send_response(reply.status)
        if reply.length:
            self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body if reply.cut is None else reply.body[: reply.cut])
        self.wfile.flush()
        if reply.stall:
            self.server.released.wait(20)
        if reply.cut is not None or reply.reset or reply.drop_after:
            self.close_connection = True
        if reply.reset:
            # Linger of zero seconds: the kernel sends RST, not FIN.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def do_CONNECT(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append(Seen(self.number, "CONNECT", self.path, headers))
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as upstream:
            self.send_response(200)
            self.end_headers()
            back = Thread(target=pump, args=(upstream, self.connection), daemon=True)
            back.start()
            pump(self.connection, upstream)
            back.join(10)
        self.close_connection = True

    def finish(self):
        try:
            super().finish()
        except OSError:
            self.server.broken += 1

    def log_message(self, *args):
        pass


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer, context=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.numbers = count()
        self.seen = []
        self.released = Event()
        self.broken = 0
        self.scheme = "https" if context else "http"
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address

    def handle_error(self, request, client_address):
        self.broken += 1


@contextmanager
def origin(answer, context=None):
    server = Server(answer, context)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join(10)
        server.server_close()


def in_order(*replies):
    """Answers one after another; the last one again and again. A callable is asked."""
    waiting = list(replies)

    def answer(seen):
        reply = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return reply(seen) if callable(reply) else reply

    return answer
