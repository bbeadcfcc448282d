"""A pair of processes that send each other messages over a socket.

A message is a frame: how many bytes follow in it, the length of the header, the number of buffers; then
a table of the buffers' sizes, the header, and small buffers one after the other. Numbers are little-endian.
Large buffers follow the frame as descriptors of shared memory (`shared`).
"""

import contextlib
import os
import socket
import struct
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from modelhub.errors import EngineError, InvalidInput
from modelhub.runtimes.hosts.shared import received, share
from modelhub.runtimes.hosts.wire import Message, decode, encode

INLINE = 256 << 10
"""Bytes up to which a buffer travels inside its message: there a copy costs less than a mapping."""

MAX_BUFFERS = 4096
MAX_FRAME = 1 << 31
"""Bytes of a frame behind its first numbers."""

_PIECE = 1 << 20
"""Bytes that are made room for before they have come."""

_ALIGNMENT = 16
_HEAD = struct.Struct("<QII")
_SIZE = struct.Struct("<Q")


class _Packed(NamedTuple):
    """A message ready to go: its frame, and the files of its large buffers."""

    frame: bytearray
    files: Sequence[int]

    def close(self) -> None:
        for fd in self.files:
            os.close(fd)


class Channel:
    """One end. Any thread may send, the garbage collector's too; one thread receives."""

    def __init__(self, end: socket.socket, *, may_import: bool = False) -> None:
        self._socket = end
        end.setblocking(True)  # whatever default timeout the program has set
        self._may_import = may_import
        self._sending = threading.Lock()
        self._later: deque[_Packed] = deque()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; waits while the other end does not read.

        Raises:
            InvalidInput: for what cannot be sent; nothing was.
            EngineError: when there is no memory to share; nothing was sent.
            OSError: when the other end is gone.
        """
        packed = _packed(message)
        try:
            with self._sending:
                self._write(packed)
        finally:
            packed.close()
        self._write_later()

    def post(self, message: Mapping[str, Any]) -> None:
        """Send a message now, or as soon as whoever sends now is done; does not wait for them.

        For finalizers, which may run in the middle of a `send` of their own thread.
        """
        self._later.append(_packed(message))
        self._write_later()

    def _write_later(self) -> None:
        # Looked at again after the lock is free: what came meanwhile was left to this thread.
        while self._later and self._sending.acquire(blocking=False):
            try:
                while self._later:
                    packed = self._later.popleft()
                    try:
                        self._write(packed)
                    finally:
                        packed.close()
            finally:
                self._sending.release()

    def _write(self, packed: _Packed) -> None:
        sent: list[int] = []
        try:
            # In one step, so that Ctrl-C comes before or behind it, and it is known which.
            sent.extend(map(self._socket.send, [packed.frame]))
            if sent[0] < len(packed.frame):
                self._socket.sendall(memoryview(packed.frame)[sent[0] :])
            for fd in packed.files:
                socket.send_fds(self._socket, [b"\0"], [fd])
        except BaseException:
            whole = sent == [len(packed.frame)] and not packed.files
            if sent and not whole:
                self.hang_up()  # the rest of a message would be taken for the next one
            raise

    def receive(self) -> Message:
        """The next message.

        Raises:
            EOFError, OSError: when the other end is gone.
            ValueError, LookupError, TypeError: for bytes that are no message.
        """
        whole, length, count = _HEAD.unpack(self._read(_HEAD.size))
        if whole > MAX_FRAME or count > MAX_BUFFERS:
            raise ValueError(f"a message of {whole} bytes with {count} buffers")
        frame = self._read(whole)
        at = count * _SIZE.size
        sizes = [size for (size,) in _SIZE.iter_unpack(frame[:at])]
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

    def _read(self, size: int) -> memoryview:
        """So many bytes, and not one more: what comes behind them may bear a descriptor."""
        found = self._socket.recv(min(size, _PIECE), socket.MSG_WAITALL)
        if len(found) == size:
            return memoryview(found)
        pieces = bytearray(found)
        while found and len(pieces) < size:
            found = self._socket.recv(min(size - len(pieces), _PIECE), socket.MSG_WAITALL)
            pieces += found
        if len(pieces) < size:
            raise EOFError("the other end is gone")
        return memoryview(pieces).toreadonly()

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

    def close(self) -> None:
        """Give back the descriptors, when nobody receives any more. Safe to call twice."""
        self.hang_up()
        self.forget()


def _packed(message: Mapping[str, Any]) -> _Packed:
    header, buffers = encode(message)
    if not buffers and len(header) <= MAX_FRAME:
        return _Packed(bytearray(_HEAD.pack(len(header), len(header), 0) + header), ())
    inside = sum(len(buffer) + _ALIGNMENT for buffer in buffers if len(buffer) <= INLINE)
    if len(buffers) > MAX_BUFFERS or len(header) + inside > MAX_FRAME - MAX_BUFFERS * _SIZE.size:
        raise InvalidInput(
            f"a message of {len(header) + inside:,} bytes and {len(buffers):,} arrays is too large "
            f"to be sent to another process (limit: {MAX_FRAME:,} and {MAX_BUFFERS:,})",
            hint="Ask in several calls, or use the host 'thread'.",
        )
    frame = bytearray(_HEAD.size)
    for buffer in buffers:
        frame += _SIZE.pack(len(buffer))
    frame += header
    for buffer in buffers:
        if len(buffer) <= INLINE:
            frame += bytes(-len(frame) % _ALIGNMENT) + buffer
    _HEAD.pack_into(frame, 0, len(frame) - _HEAD.size, len(header), len(buffers))
    return _Packed(frame, _shared([buffer for buffer in buffers if len(buffer) > INLINE]))


def _shared(buffers: Sequence[memoryview]) -> Sequence[int]:
    files: list[int] = []
    try:
        files.extend(map(share, buffers))
    except OSError as error:
        raise EngineError(
            f"no memory could be shared with the other process: {error.strerror}",
            hint="Mind the limit on open files (ulimit -n) and the memory that is free.",
        ) from error
    finally:
        if len(files) < len(buffers):
            for fd in files:
                os.close(fd)
    return files


def ends() -> tuple[socket.socket, socket.socket]:
    """Two sockets that are connected with each other."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
