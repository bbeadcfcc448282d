"""Servers that send a little now and then, without end: silence is not what gives them away."""

import socket
from contextlib import contextmanager
from itertools import chain, repeat
from threading import Event, Thread

import pytest

from modelhub.errors import SourceUnavailable
from modelhub.sources.transport import RetryPolicy, Transport

from .asking import drain, request

OK = b"HTTP/1.1 200 OK\r\n"
LONG = OK + b"Content-Length: 100000\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
DENIED = b"HTTP/1.1 404 Not Found\r\nContent-Length: 60000\r\n\r\n"


@contextmanager
def dripping(first, piece, pause):
    """A server that answers `first`, then `piece` every `pause` seconds until nobody listens."""
    stopped, served = Event(), []

    def serve(connection):
        served.append(connection)
        with connection:
            try:
                connection.recv(65536)
                for data in chain([first], repeat(piece)):
                    connection.sendall(data)
                    if stopped.wait(pause):
                        return
            except OSError:
                return

    def accept():
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        thread = Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/x", served
        finally:
            stopped.set()
            thread.join(10)


@pytest.fixture
def hurried(waits):
    transport = Transport(
        read_timeout=10, answer_timeout=0.3, retry=RetryPolicy(sleep=waits.append), proxies={}
    )
    yield transport
    transport.close()


DRIPS = {
    "status line": (b"H", b""),
    "interim answers": (CONTINUE, CONTINUE),
    "one header": (OK + b"X: ", b"x"),
    "headers": (OK, b"X: y\r\n"),
    "page": (LONG, b"x"),
    "chunks": (CHUNKED, b"1\r\nx\r\n"),
    "chunk extension": (CHUNKED + b"1;", b"x"),
    "refusal": (DENIED, b"x"),
}


@pytest.mark.parametrize(("first", "piece"), DRIPS.values(), ids=DRIPS)
def test_page_that_drips_is_given_up_in_time(hurried, waits, first, piece):
    with dripping(first, piece, 0.01) as (url, served):
        with pytest.raises(SourceUnavailable, match="takes too long") as caught:
            hurried.page(request(url), 200_000)
        assert len(served) == 1
    assert caught.value.hint
    assert waits == []


@pytest.mark.parametrize("drip", ["interim answers", "headers", "refusal"])
def test_head_of_a_file_that_drips_is_given_up_in_time(hurried, drip):
    with (
        dripping(*DRIPS[drip], 0.01) as (url, _),
        pytest.raises(SourceUnavailable, match="takes too long"),
    ):
        hurried.stream(request(url))


@pytest.mark.parametrize("first", [CONTINUE, b""])
def test_head_without_end_is_given_up_by_its_length(transport, waits, first):
    with (
        dripping(first, CONTINUE * 100, 0) as (url, _),
        pytest.raises(SourceUnavailable, match="longer than 262,144 bytes"),
    ):
        transport.page(request(url), 100)
    assert waits == []


def test_a_file_may_take_its_time(hurried):
    head = OK + b"Content-Length: 60\r\n\r\n"
    with dripping(head, b"x", 0.01) as (url, _):
        assert drain(hurried.stream(request(url))) == b"x" * 60


def test_interim_answers_are_passed_over(transport):
    whole = CONTINUE * 3 + OK + b"Content-Length: 2\r\n\r\n[]"
    with dripping(whole, b"", 0.01) as (url, _):
        assert transport.page(request(url), 100).body == b"[]"
