"""A pair of processes that send each other messages over a socket.

A message is one `multiprocessing.connection` message of bytes: the length of the header, a table of
the buffers' sizes, the header, and small buffers one after the other. Large buffers follow as
descriptors of shared memory (`shared`).
"""

import contextlib
import os
import socket
import struct
import threading
from collections import deque
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from modelhub.runtimes.hosts.shared import received, share
from modelhub.runtimes.hosts.wire import Message, decode, encode

INLINE = 256 << 10
"""Bytes up to which a buffer travels inside its message: there a copy costs less than a mapping."""

MAX_BUFFERS = 4096
_ALIGNMENT = 16
_HEAD = struct.Struct("<II")
_SIZE = struct.Struct("<Q")

Packed = tuple[bytes, list[memoryview]]


class Channel:
    """One end. Any thread may send, the garbage collector's too; one thread receives."""

    def __init__(self, end: socket.socket, *, may_import: bool = False) -> None:
        self._socket = end
        self._connection = Connection(os.dup(end.fileno()))
        self._may_import = may_import
        self._sending = threading.Lock()
        self._later: deque[Packed] = deque()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; waits while the other end does not read.

        Raises:
            InvalidInput: for what cannot be sent; nothing was.
            OSError: when the other end is gone.
        """
        packed = encode(message)
        with self._sending:
            self._write(packed)
        self._write_later()

    def post(self, message: Mapping[str, Any]) -> None:
        """Send a message now, or as soon as whoever sends now is done; does not wait for them.

        For finalizers, which may run in the middle of a `send` of their own thread.
        """
        self._later.append(encode(message))
        self._write_later()

    def _write_later(self) -> None:
        # Looked at again after the lock is free: what came meanwhile was left to this thread.
        while self._later and self._sending.acquire(blocking=False):
            try:
                while self._later:
                    self._write(self._later.popleft())
            finally:
                self._sending.release()

    def _write(self, packed: Packed) -> None:
        header, buffers = packed
        table = b"".join(_SIZE.pack(len(buffer)) for buffer in buffers)
        frame = bytearray(_HEAD.pack(len(header), len(buffers)) + table + header)
        large = []
        for buffer in buffers:
            if len(buffer) > INLINE:
                large.append(buffer)
            else:
                frame += bytes(-len(frame) % _ALIGNMENT) + buffer
        self._connection.send_bytes(frame)
        for buffer in large:
            self._pass(buffer)

    def _pass(self, buffer: memoryview) -> None:
        fd = share(buffer)
        try:
            socket.send_fds(self._socket, [b"\0"], [fd])
        finally:
            os.close(fd)

    def receive(self) -> Message:
        """The next message.

        Raises:
            EOFError, OSError: when the other end is gone.
            ValueError, LookupError, TypeError: for bytes that are no message.
        """
        frame = memoryview(self._connection.recv_bytes())
        length, count = _HEAD.unpack_from(frame)
        if count > MAX_BUFFERS:
            raise ValueError(f"a message with {count} buffers")
        at = _HEAD.size + count * _SIZE.size
        sizes = [size for (size,) in _SIZE.iter_unpack(frame[_HEAD.size : at])]
        header, at = bytes(frame[at : at + length]), at + length
        buffers = []
        for size in sizes:
            if size > INLINE:
                buffers.append(received(self._receive_fd(), size))
                continue
            at += -at % _ALIGNMENT
            buffers.append(frame[at : at + size])
            at += size
        return decode(header, buffers, may_import=self._may_import)

    def _receive_fd(self) -> int:
        _, fds, _, _ = socket.recv_fds(self._socket, 1, 1, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
        if not fds:
            raise EOFError("the other end left in the middle of a message")
        return fds[0]

    def hang_up(self) -> None:
        """Whoever receives or sends, at either end, comes out with an error."""
        with contextlib.suppress(OSError):  # the other end is gone already
            self._socket.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """Give back the descriptors, and leave the connection to the process that this one is a copy of."""
        self._socket.close()
        self._connection.close()

    def close(self) -> None:
        """Give back the descriptors, when nobody receives any more. Safe to call twice."""
        self.hang_up()
        self.forget()


def ends() -> tuple[socket.socket, socket.socket]:
    """Two sockets that are connected with each other."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
