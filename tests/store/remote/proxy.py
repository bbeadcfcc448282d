"""A proxy before a server, which does to its clients what networks do."""

import http.client
import socket
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_NOT_HANDED_ON = {"connection", "transfer-encoding", "keep-alive", "content-length"}
_LINGER_NOT = b"\1\0\0\0\0\0\0\0"
_REFUSED = {"500": "InternalError", "503": "SlowDown", "403": "AccessDenied"}


class Faults:
    """What happens to the next requests: `plan` gives the fault for a request, or None."""

    def __init__(self):
        self.plan = lambda number, method, path: None
        self.stall = 0.0
        self.seen = 0
        self.injected = []
        self.asked = []
        self._mutex = threading.Lock()

    def next(self, method, path):
        with self._mutex:
            self.seen += 1
            self.asked.append(method)
            if fault := self.plan(self.seen, method, path):
                self.injected.append(fault)
            return fault

    def every(self, step, *kinds):
        """Each `step`-th request fails, in the ways of `kinds` one after another."""
        self.plan = lambda number, method, path: (
            None if number % step else kinds[number // step % len(kinds)]
        )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target = ("", 0)
    faults = None

    def log_message(self, *given):
        """Nobody reads it."""

    def forward(self):
        fault = self.faults.next(self.command, self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault in _REFUSED:
            told = f"<Error><Code>{_REFUSED[fault]}</Code><Message>no</Message></Error>"
            self.answer(int(fault), told.encode())
        elif fault == "stall":
            time.sleep(self.faults.stall)
            self.reset()
        elif fault == "reset":
            self.reset()
        else:
            status, headers, data = self.ask(body)
            if fault == "answer lost":
                self.reset()
            else:
                self.answer(status, data, headers, cut=fault == "truncate")

    def ask(self, body):
        there = http.client.HTTPConnection(*self.target, timeout=30)
        try:
            # With the host that the client has signed.
            there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):
                    there.putheader(name, value)
            there.endheaders(body or None)
            answer = there.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            there.close()

    def answer(self, status, data, headers=(), *, cut=False):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _NOT_HANDED_ON or (
                self.command == "HEAD" and name.lower() == "content-length"
            ):
                self.send_header(name, value)
        if self.command == "HEAD":
            self.end_headers()
            return
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if cut and len(data) > 1:
            self.wfile.write(data[: len(data) // 2])
            self.reset()
        else:
            self.wfile.write(data)

    def reset(self):
        self.wfile.flush()
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.connection.close()

    def handle(self):
        with suppress(OSError):  # a client that has gone
            super().handle()

    def finish(self):
        with suppress(OSError, ValueError):
            super().finish()


for _method in ("GET", "PUT", "POST", "HEAD", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler.forward)


@contextmanager
def proxy(target):
    """A proxy before the server at `target`: its address, and its `Faults`."""
    host, _, port = target.removeprefix("http://").partition(":")
    faults = Faults()
    kind = type("Handler", (_Handler,), {"target": (host, int(port)), "faults": faults})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", faults
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
