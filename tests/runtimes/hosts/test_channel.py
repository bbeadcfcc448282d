import gc
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from modelhub.errors import EngineError, InvalidInput
from modelhub.runtimes.hosts import channel as channel_module
from modelhub.runtimes.hosts.channel import INLINE, Channel, ends
from modelhub.runtimes.hosts.shared import received, share


@pytest.fixture
def pair():
    one, other = map(Channel, ends())
    yield one, other
    one.close()
    other.close()


def head(*numbers: int) -> bytes:
    return channel_module._HEAD.pack(*numbers)


def open_files() -> int:
    gc.collect()
    return sum(1 for _ in Path("/dev/fd").iterdir())


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, INLINE, INLINE + 1, 5 << 20])
def test_bytes_and_arrays_of_any_size(pair, size):
    one, other = pair
    array = np.frombuffer(os.urandom(size), "uint8")
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(one.send, {"array": array, "bytes": array.tobytes()})
        found = other.receive()
        sent.result()
    assert (found["array"] == array).all()
    assert found["bytes"] == array.tobytes()


def test_small_arrays_behind_odd_bytes_are_aligned(pair):
    one, other = pair
    one.send({"odd": b"123", "numbers": np.arange(3, dtype="float64")})
    assert other.receive()["numbers"].flags.aligned


def test_messages_of_many_threads_do_not_mix(pair):
    one, other = pair
    arrays = [np.full(INLINE // 8 + number * 999, number, "float64") for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(one.send, {"n": n, "array": array}) for n, array in enumerate(arrays)]
        found = {message["n"]: message["array"] for message in (other.receive() for _ in arrays)}
        for future in sent:
            future.result()
    assert all((found[n] == array).all() for n, array in enumerate(arrays))


def test_what_is_posted_in_the_middle_of_a_send_follows_it(pair, monkeypatch):
    one, other = pair
    posted: list[bool] = []
    write = one._write

    def write_and_post(packed):
        if not posted:
            posted.append(True)
            one.post({"second": True})  # as a finalizer would, inside this very send
        write(packed)

    monkeypatch.setattr(one, "_write", write_and_post)
    one.send({"first": True})
    assert (other.receive(), other.receive()) == ({"first": True}, {"second": True})


def test_shared_memory_is_given_back(pair):
    one, other = pair
    before = open_files()
    for _ in range(20):
        one.send({"array": np.zeros(INLINE, "float64")})
        assert other.receive()["array"].sum() == 0
    assert open_files() == before


def test_the_end_of_the_other_is_an_error_here(pair):
    one, other = pair
    other.close()
    with pytest.raises((EOFError, OSError)):
        one.receive()
    with pytest.raises(OSError):  # noqa: PT012 - the kernel may take some first
        for _ in range(100):
            one.send({"x": "y" * 100_000})


def test_hang_up_frees_who_receives(pair):
    one, _ = pair
    with ThreadPoolExecutor(1) as pool:
        receiving = pool.submit(one.receive)
        one.hang_up()
        assert isinstance(receiving.exception(timeout=20), EOFError | OSError)


def test_close_twice(pair):
    one, _ = pair
    one.close()
    one.close()


@pytest.mark.parametrize(
    "frame",
    [
        b"\0" * 16,
        b"\xff" * 16,
        head(1 << 40, 2, 0) + b"{}",
        head(2, 2, 1 << 20) + b"{}",
        head(1, 2, 0) + b"{",
        head(2, 1, 0) + b"{}",
        head(2, 2, 1) + b"{}",
    ],
)
def test_a_frame_that_is_none_is_an_error(pair, frame):
    one, other = pair
    one._socket.sendall(frame)
    one.hang_up()
    with pytest.raises((ValueError, LookupError, TypeError, channel_module.struct.error)):
        other.receive()


def test_a_frame_that_ends_early_is_the_end(pair):
    one, other = pair
    one._socket.sendall(head(3 << 20, 2, 0) + b"{}")
    one.hang_up()
    with pytest.raises(EOFError):
        other.receive()


@pytest.mark.parametrize("value", [{"x": [b""] * 4097}, {"x": "y" * (1 << 20)}])
def test_what_is_too_large_for_a_message_is_refused(pair, monkeypatch, value):
    monkeypatch.setattr(channel_module, "MAX_FRAME", 1 << 20)
    with pytest.raises(InvalidInput, match="too large"):
        pair[0].send(value)


def test_a_default_timeout_of_the_program_changes_nothing():
    socket.setdefaulttimeout(0.01)
    try:
        one, other = map(Channel, ends())
    finally:
        socket.setdefaulttimeout(None)
    with ThreadPoolExecutor(1) as pool:
        receiving = pool.submit(other.receive)
        time.sleep(0.1)
        one.send({"late": True})
        assert receiving.result() == {"late": True}
    one.close()
    other.close()


def test_shared_memory_cannot_be_changed_by_who_sent_it():
    fd = share(memoryview(b"x" * 5000))
    copy = os.dup(fd)
    view = received(fd, 5000)
    with pytest.raises(OSError):
        os.pwrite(copy, b"y", 0)
    with pytest.raises(OSError):
        os.ftruncate(copy, 0)
    os.close(copy)
    assert bytes(view) == b"x" * 5000
    assert view.readonly


def test_a_file_that_could_shrink_is_read_not_mapped(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 5000)
    fd = os.open(path, os.O_RDWR)
    view = received(fd, 5000)
    path.write_bytes(b"")
    assert bytes(view) == b"x" * 5000


def test_a_file_that_is_too_short_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match="holds 1"):
        received(os.open(path, os.O_RDONLY), 2)


def test_a_missing_descriptor_is_the_end(pair):
    one, other = pair
    header = b'{"x":{"\\u0000b":0}}'
    size = INLINE + 1
    one._socket.sendall(head(8 + len(header), len(header), 1) + size.to_bytes(8, "little") + header)
    one._socket.sendall(b"\0")
    with pytest.raises(EOFError):
        other.receive()


def test_without_memory_to_share_nothing_is_sent(pair, monkeypatch):
    one, other = pair
    shared = iter([share(memoryview(b"x")), OSError(24, "Too many open files")])

    def give(_buffer):
        found = next(shared)
        if isinstance(found, OSError):
            raise found
        return found

    before = open_files() - 1
    monkeypatch.setattr(channel_module, "share", give)
    large = np.zeros(INLINE, "float64")
    with pytest.raises(EngineError, match="Too many open files"):
        one.send({"one": large, "two": large})
    assert open_files() == before
    one.send({"next": True})
    assert other.receive() == {"next": True}


def test_a_message_that_was_half_sent_ends_the_connection(pair, monkeypatch):
    one, other = pair

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(channel_module.socket, "send_fds", interrupt)
    before = open_files()
    with pytest.raises(KeyboardInterrupt):
        one.send({"large": np.zeros(INLINE, "float64")})
    assert open_files() == before
    with pytest.raises(EOFError):
        other.receive()
