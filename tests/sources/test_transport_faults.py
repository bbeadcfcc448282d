"""The data plane against servers that stall, hang up and lie."""

import socket

import pytest

from modelhub.errors import (
    AccessDenied,
    FileNotInRepository,
    SourceError,
    SourceUnavailable,
)

from .asking import SECRET, drain, request
from .origin import BODY, Reply, in_order, origin, ranged


def test_connection_closed_while_idle_costs_no_attempt(transport, waits):
    replies = in_order(Reply(200, {}, b"one", drop_after=True), Reply(200, {}, b"two"))
    with origin(replies) as server:
        assert drain(transport.stream(request(server.url))) == b"one"
        assert drain(transport.stream(request(server.url))) == b"two"
    assert waits == []


def test_connection_closed_as_it_is_used_again_costs_no_attempt(transport, waits):
    with origin(in_order(Reply(200, {}, b"one"), None, Reply(200, {}, b"two"))) as server:
        assert drain(transport.stream(request(server.url))) == b"one"
        assert drain(transport.stream(request(server.url))) == b"two"
    assert [seen.connection for seen in server.seen] == [0, 0, 1]
    assert waits == []


def test_server_that_hangs_up_is_asked_again(transport, waits):
    with origin(in_order(None, None, ranged)) as server:
        assert drain(transport.stream(request(server.url))) == BODY
    assert len(waits) == 2


def test_redirect_and_refusal_whose_bodies_break_off(transport):
    redirect = Reply(302, {"Location": "/there"}, b"moved", cut=1)
    with (
        origin(in_order(redirect, Reply(404, {"X-Error-Message": "gone"}, b"gone", cut=1))) as server,
        pytest.raises(FileNotInRepository, match="gone"),
    ):
        transport.stream(request(server.url))
    assert [seen.target for seen in server.seen] == ["/", "/there"]


def test_busy_server_is_asked_again(transport, waits):
    with origin(in_order(Reply(503), Reply(500), ranged)) as server:
        assert drain(transport.stream(request(server.url))) == BODY
    assert len(server.seen) == 3
    assert 0.5 <= waits[0] <= 1.0
    assert 1.0 <= waits[1] <= 1.5


def test_server_that_stays_busy_is_given_up(transport, waits):
    with (
        origin(lambda seen: Reply(503, {}, b"no")) as server,
        pytest.raises(SourceUnavailable, match="answered 503") as caught,
    ):
        transport.stream(request(server.url))
    assert len(server.seen) == 4
    assert len(waits) == 3
    assert caught.value.details["status"] == 503


@pytest.mark.parametrize("headers", [{"Retry-After": "7"}, {"RateLimit": '"api";r=0;t=7'}])
def test_retry_after_is_honoured(transport, waits, headers):
    with origin(in_order(Reply(429, headers), ranged)) as server:
        assert drain(transport.stream(request(server.url))) == BODY
    assert waits == [7]


def test_too_long_a_wait_is_told_instead(transport, waits):
    with (
        origin(lambda seen: Reply(429, {"Retry-After": "3600"})) as server,
        pytest.raises(SourceUnavailable) as caught,
    ):
        transport.stream(request(server.url))
    assert "3600 s" in caught.value.hint
    assert waits == []
    assert len(server.seen) == 1


@pytest.mark.parametrize("fault", ["cut", "reset", "stall"])
def test_broken_download_goes_on_from_its_byte(transport, waits, fault):
    def broken(seen):
        reply = ranged(seen)
        reply.cut = 120_000
        reply.reset, reply.stall = fault == "reset", fault == "stall"
        return reply

    with origin(in_order(broken, broken, ranged)) as server:
        assert drain(transport.stream(request(server.url), 1000), size=7000) == BODY[1000:]
    starts = [int(seen.range.removeprefix("bytes=").removesuffix("-")) for seen in server.seen]
    assert starts[0] == 1000
    assert starts == sorted(set(starts))
    assert len(starts) == 3
    assert waits == []


def test_resume_goes_through_the_hub_again(transport):
    def cut(seen):
        reply = ranged(seen)
        reply.cut = 100_000
        return reply

    with origin(in_order(cut, ranged)) as cdn:
        redirect = Reply(302, {"Location": f"{cdn.url}/"})
        with origin(lambda seen: redirect) as hub:
            assert drain(transport.stream(request(hub.url))) == BODY
    assert [seen.range for seen in hub.seen] == [None, "bytes=100000-"]
    assert [seen.range for seen in cdn.seen] == [None, "bytes=100000-"]


def test_resume_waits_while_the_server_is_away(transport, waits):
    def cut(seen):
        reply = ranged(seen)
        reply.cut = 1000
        return reply

    with origin(in_order(cut, Reply(503), Reply(503), ranged)) as server:
        assert drain(transport.stream(request(server.url))) == BODY
    assert len(waits) == 2


def test_resume_on_a_server_without_ranges(transport):
    def cut(seen):
        return Reply(200, {}, BODY, cut=None if seen.range else 1000)

    with origin(cut) as server:
        assert drain(transport.stream(request(server.url))) == BODY


def test_download_that_never_gets_further_is_given_up(transport):
    def cut(seen):
        reply = ranged(seen)
        reply.cut = 0
        return reply

    with origin(cut) as server:
        stream = transport.stream(request(server.url))
        with pytest.raises(SourceUnavailable, match="broke off"):
            drain(stream)
    assert len(server.seen) == 5


def test_download_in_drops_is_given_up(transport):
    def drip(seen):
        reply = ranged(seen)
        reply.cut = 1
        return reply

    with origin(drip) as server:
        stream = transport.stream(request(server.url))
        with pytest.raises(SourceUnavailable, match="broke off"):
            drain(stream)
    assert len(server.seen) < 20


def test_refusal_while_resuming_is_named(transport):
    def cut(seen):
        reply = ranged(seen)
        reply.cut = 10
        return reply

    with origin(in_order(cut, Reply(403))) as server:
        stream = transport.stream(request(server.url))
        with pytest.raises(AccessDenied):
            drain(stream)


def test_file_that_changes_while_it_is_read(transport):
    def cut(seen):
        reply = ranged(seen)
        reply.cut = 1000
        return reply

    with (
        origin(in_order(cut, lambda seen: ranged(seen, BODY + b"x"))) as server,
        pytest.raises(SourceError, match="changed while it was read"),
    ):
        drain(transport.stream(request(server.url)))


def test_nobody_there(transport, waits):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x?signature={SECRET}"
        with pytest.raises(SourceUnavailable, match="cannot be reached") as caught:
            transport.stream(request(url))
    assert "offline" in caught.value.hint
    assert len(waits) == 3


def test_impossible_host_name(transport, waits):
    with pytest.raises(SourceUnavailable):
        transport.stream(request("http://a..b/"))
    assert waits == []


def test_page_that_breaks_off_is_asked_for_again(transport):
    with origin(in_order(Reply(200, {}, b"[1, 2]", cut=3), Reply(200, {}, b"[1, 2]"))) as server:
        assert transport.page(request(server.url), 100).body == b"[1, 2]"
