"""Ranges of one version of a file; limits; ending what waits."""

import threading
import time

import pytest

from modelhub.errors import Cancelled, SourceChanged
from modelhub.sources.transport import Limits, Origin, RetryPolicy, Stop, Transport, Version
from modelhub.sources.transport.bounded import SLOW_SECONDS, SLOWEST
from modelhub.sources.transport.limits import Bucket

from .asking import drain, request
from .origin import BODY, Reply, in_order, origin, ranged

HERE = Origin("http", "127.0.0.1", 80)


def tagged(etag, body=BODY):
    def answer(seen):
        reply = ranged(seen, body)
        reply.headers["ETag"] = etag
        return reply

    return answer


def test_all_ranges_are_of_the_version_that_came_first(transport):
    one = Version()
    with origin(in_order(tagged('"a"'), tagged('"a"'), tagged('"b"'))) as server:
        for start in (0, 1000):
            assert (
                drain(transport.stream(request(server.url), start, start + 10, one)) == BODY[start:][:10]
            )
        with pytest.raises(SourceChanged, match="ETag"):
            transport.stream(request(server.url), 2000, 2010, one)
    assert [seen.headers.get("if-range") for seen in server.seen] == [None, '"a"', '"a"']


def test_a_weak_etag_says_nothing(transport):
    one = Version()
    with origin(in_order(tagged('W/"a"'), tagged('W/"b"'))) as server:
        for start in (0, 1000):
            assert (
                drain(transport.stream(request(server.url), start, start + 10, one)) == BODY[start:][:10]
            )
    assert "if-range" not in server.seen[1].headers


def test_a_file_that_becomes_another_while_a_stream_goes_on(transport):
    def cut(seen):
        reply = tagged('"a"')(seen)
        reply.cut = 1000
        return reply

    with origin(in_order(cut, tagged('"b"', BODY[::-1]))) as server:
        stream = transport.stream(request(server.url))
        with pytest.raises(SourceChanged):
            drain(stream)


def test_a_server_without_ranges_is_known_as_such(transport):
    one = Version()
    with origin(lambda seen: Reply(200, {}, BODY)) as server:
        drain(transport.stream(request(server.url), 0, None, one))
        assert one.ranged is None
        assert drain(transport.stream(request(server.url), 5, 10, one)) == BODY[5:10]
    assert one.ranged is False


@pytest.mark.parametrize("where", ["head", "body", "retry", "connections"])
def test_whatever_waits_ends_at_once(where):
    limits = Limits(1)
    transport = Transport(
        read_timeout=60, limits=limits, proxies={}, retry=RetryPolicy(attempts=9, first_wait=60)
    )
    stop, begun = Stop(), threading.Event()

    def answer(seen):
        begun.set()
        reply = Reply(503) if where == "retry" else ranged(seen)
        if where == "head":
            server.released.wait(20)
        if where == "body":
            reply.cut, reply.stall = 1000, True
        return reply

    with origin(answer) as server:
        if where == "connections":
            limits.enter(Origin("http", "127.0.0.1", server.server_port), Stop())
            begun.set()

        def end():
            begun.wait(20)
            time.sleep(0.1)
            stop.set()

        threading.Thread(target=end, daemon=True).start()
        with pytest.raises(Cancelled):
            drain(transport.stream(request(server.url, stop=stop)))
        with pytest.raises(Cancelled):
            transport.stream(request(server.url, stop=stop))
        assert not server.released.is_set()
        server.released.set()
    transport.close()


def test_no_more_connections_than_allowed(transport):
    limited = Transport(limits=Limits(connections=9, per_host=2), proxies={})
    open_now, most, lock = [0], [0], threading.Lock()

    def answer(seen):
        with lock:
            open_now[0] += 1
            most[0] = max(most[0], open_now[0])
        time.sleep(0.02)
        with lock:
            open_now[0] -= 1
        return ranged(seen)

    with origin(answer) as server:
        asks = [
            threading.Thread(target=lambda: drain(limited.stream(request(server.url)))) for _ in range(6)
        ]
        for ask in asks:
            ask.start()
        for ask in asks:
            ask.join(20)
        assert len(server.seen) == 6
    assert most[0] == 2
    limited.close()


def test_room_is_counted_for_each_host_and_in_all():
    limits, over = Limits(connections=2, per_host=1), Stop()
    over.set()
    elsewhere = [Origin("http", host, 80) for host in ("one", "two")]
    limits.enter(HERE, over)
    with pytest.raises(Cancelled):
        limits.enter(HERE, over)
    limits.enter(elsewhere[0], over)
    with pytest.raises(Cancelled):
        limits.enter(elsewhere[1], over)
    limits.leave(HERE)
    limits.enter(elsewhere[1], over)


def test_a_bucket_lets_so_many_bytes_pass_a_second():
    now = [0.0]
    bucket = Bucket(1000, lambda: now[0])
    assert bucket.portion == 250
    waited = 0.0
    for _ in range(40):
        wait = bucket.spend(250)
        waited += wait
        now[0] += wait
    assert waited == pytest.approx(9.75)  # 10,000 bytes, of which the first portion is free
    now[0] += 100  # idleness saves up no more than a portion
    assert bucket.spend(250) == 0
    assert bucket.spend(250) == pytest.approx(0.25)


def test_a_body_that_trickles_has_stalled(transport, monkeypatch, waits):
    clock = [0.0]

    def slow_clock():
        clock[0] += SLOW_SECONDS / 4
        return clock[0]

    answers = []

    def answer(seen):
        answers.append(seen)
        if len(answers) == 2:
            monkeypatch.undo()
        reply = ranged(seen)
        if len(answers) == 1:
            reply.cut, reply.stall = SLOWEST, True
            monkeypatch.setattr("modelhub.sources.transport.bounded.time.monotonic", slow_clock)
        return reply

    with origin(answer) as server:
        assert drain(transport.stream(request(server.url)), size=256) == BODY
    assert len(answers) == 2
