import gc
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from modelhub.errors import Cancelled, EngineError
from modelhub.facts import Call, Token
from modelhub.tasks.stream import Stream


def pieces(ended, count=3, fail=False):
    try:
        yield from range(count)
        if fail:
            raise EngineError("broke")
    finally:
        ended.append("engine")


def make(**given):
    ended = []
    return Stream(pieces(ended, **given), lambda: ended.append("lease")), ended


def test_read_to_the_end_closes_once():
    stream, ended = make()
    assert list(stream) == [0, 1, 2]
    assert ended == ["engine", "lease"]
    assert list(stream) == []
    stream.close()
    assert ended == ["engine", "lease"]


def test_left_early_it_stops_the_engine_before_it_lets_the_model_go():
    stream, ended = make()
    with stream:
        assert next(stream) == 0
    assert ended == ["engine", "lease"]


def test_dropped_it_is_closed():
    stream, ended = make()
    next(stream)
    del stream
    gc.collect()
    assert ended == ["engine", "lease"]


def test_an_error_reaches_the_reader_and_closes():
    stream, ended = make(count=1, fail=True)
    assert next(stream) == 0
    with pytest.raises(EngineError):
        next(stream)
    assert ended == ["engine", "lease"]


def test_never_read_it_still_lets_the_model_go():
    stream, ended = make()
    stream.close()
    assert ended == ["lease"]


LIVENESS = 20.0


class Engine:
    """Gives `said` pieces, then works until it is cancelled, and notes what happens to it."""

    def __init__(self, said=0, at_cancel="check"):
        self.call = Call()
        self.events = []
        self.working = threading.Event()
        self.cancelled = threading.Event()
        self.stream = Stream(self._pieces(said, at_cancel), self._finish, self._cancel)

    def _cancel(self):
        self.events.append("cancel")
        self.call.cancel()
        self.cancelled.set()

    def _finish(self):
        self.events.append("finish")

    def _pieces(self, said, at_cancel):
        try:
            yield from range(said)
            self.working.set()
            assert self.cancelled.wait(LIVENESS)
            if at_cancel == "check":
                self.call.check()
            elif at_cancel == "break":
                raise EngineError("broke")
            elif at_cancel == "speak":
                yield "late"
        finally:
            self.events.append("engine")


@pytest.fixture
def reader():
    with ThreadPoolExecutor(1) as pool:
        yield lambda stream: pool.submit(list, stream)


@pytest.mark.parametrize(
    ("at_cancel", "error"), [("check", Cancelled), ("speak", Cancelled), ("break", EngineError)]
)
def test_closed_by_another_thread_while_it_is_read(reader, at_cancel, error):
    engine = Engine(said=2, at_cancel=at_cancel)
    reading = reader(engine.stream)
    assert engine.working.wait(LIVENESS)
    engine.stream.close()
    engine.stream.close()
    with pytest.raises(error):
        reading.result(LIVENESS)
    # The model is let go only when the engine is done, and once.
    assert engine.events == ["cancel", "engine", "finish"]
    assert list(reader(engine.stream).exception(LIVENESS).args) == [
        "the stream was closed by another thread"
    ]
    assert list(engine.stream) == []


def test_it_is_let_go_by_the_reader_and_not_while_the_engine_works(reader):
    engine = Engine()
    engine.cancelled.wait = lambda _: engine.released.wait(LIVENESS)
    engine.released = threading.Event()
    reading = reader(engine.stream)
    assert engine.working.wait(LIVENESS)
    engine.stream.close()
    assert engine.events == ["cancel"]
    engine.released.set()
    assert isinstance(reading.exception(LIVENESS), Cancelled)
    assert engine.events == ["cancel", "engine", "finish"]


def test_an_end_that_comes_as_it_is_closed_is_an_end(reader):
    engine = Engine(said=1, at_cancel="end")
    reading = reader(engine.stream)
    assert engine.working.wait(LIVENESS)
    engine.stream.close()
    assert reading.result(LIVENESS) == [0]
    assert engine.events == ["cancel", "engine", "finish"]


def test_closed_by_another_thread_between_two_reads():
    engine = Engine(said=2)
    assert next(engine.stream) == 0
    with ThreadPoolExecutor(1) as other:
        other.submit(engine.stream.close).result(LIVENESS)
    assert engine.events == ["cancel", "engine", "finish"]
    with pytest.raises(Cancelled):
        next(engine.stream)


def test_closed_in_its_own_loop_it_ends():
    engine = Engine(said=3)
    seen = []
    for piece in engine.stream:
        seen.append(piece)
        engine.stream.close()
    assert seen == [0]
    assert engine.events == ["cancel", "engine", "finish"]


def test_closed_from_inside_a_read_it_ends():
    ended = []

    def pieces():
        try:
            stream.close()  # as a signal handler may
            yield 0
        finally:
            ended.append("engine")

    stream = Stream(pieces(), lambda: ended.append("lease"), lambda: ended.append("cancel"))
    assert list(stream) == []
    assert ended == ["cancel", "engine", "lease"]


def test_read_to_the_end_nothing_is_cancelled():
    engine = Engine(said=2, at_cancel="end")
    engine.cancelled.set()
    assert list(engine.stream) == [0, 1]
    engine.stream.close()
    assert engine.events == ["engine", "finish"]


def test_it_is_let_go_though_cancel_and_the_engine_fail():
    ended = []

    def pieces():
        try:
            yield 0
        finally:
            raise EngineError("cannot stop")

    def cancel():
        raise OSError("cannot cancel")

    stream = Stream(pieces(), lambda: ended.append("lease"), cancel)
    next(stream)
    with pytest.raises(EngineError):
        stream.close()
    stream.close()
    assert ended == ["lease"]


def test_an_interrupted_read_lets_the_model_go():
    ended = []

    def pieces():
        yield 0
        raise KeyboardInterrupt

    stream = Stream(pieces(), lambda: ended.append("lease"))
    next(stream)
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert ended == ["lease"]
    assert list(stream) == []


def yielding(pieces):
    """Lets other threads run in the middle of each step."""
    with closing(pieces):
        for piece in pieces:
            time.sleep(0)
            yield piece


def test_many_threads_read_and_close_and_it_is_let_go_once():
    for seed in range(200):
        ended, start = [], threading.Barrier(4)
        slow = yielding(pieces(ended, count=seed % 7))
        stream = Stream(slow, lambda ended=ended: ended.append("lease"))

        def read(stream=stream, start=start):
            start.wait(LIVENESS)
            try:
                return list(stream)
            except Cancelled:
                return []

        def close(stream=stream, start=start):
            start.wait(LIVENESS)
            stream.close()

        with ThreadPoolExecutor(4) as pool:
            for work in [pool.submit(act) for act in (read, read, close, close)]:
                work.result(LIVENESS)
        assert ended in (["engine", "lease"], ["lease"])  # the latter when nobody had begun to read


def test_threads_that_read_take_turns():
    ended = []
    stream = Stream(yielding(pieces(ended, count=1000)), lambda: ended.append("lease"))
    with ThreadPoolExecutor(3) as pool:
        parts = [work.result(LIVENESS) for work in [pool.submit(list, stream) for _ in range(3)]]
    assert sorted(piece for part in parts for piece in part) == list(range(1000))
    assert ended == ["engine", "lease"]


def test_dropped_by_another_thread_it_is_closed():
    ended = []
    dropped = [Stream(pieces(ended), lambda: ended.append("lease"), lambda: ended.append("cancel"))]
    next(dropped[0])
    with ThreadPoolExecutor(1) as other:
        other.submit(dropped.clear).result(LIVENESS)
    assert ended == ["cancel", "engine", "lease"]


def test_the_garbage_collector_may_cancel_in_the_middle_of_a_cancel():
    token = Token()

    class Cyclic:
        def __init__(self):
            self.me = self
            self.stream = Stream(iter(()), lambda: None, token.cancel)

    done = threading.Event()

    def churn():
        gc.set_threshold(1)
        try:
            for _ in range(2000):
                Cyclic()
                token.cancel()
        finally:
            gc.set_threshold(*thresholds)
        done.set()

    thresholds = gc.get_threshold()
    threading.Thread(target=churn, daemon=True).start()
    assert done.wait(LIVENESS)


def test_a_half_made_stream_is_dropped_in_silence():
    with pytest.raises(TypeError):
        Stream(iter(()))
    gc.collect()


AT_EXIT = """
import threading
from modelhub.tasks.stream import Stream

lock = threading.Lock()
lock.acquire()  # as if by a daemon thread, which is stopped where it is
stream = Stream(iter(range(3)), lock.acquire, lock.acquire)
next(stream)
"""


def test_left_open_when_the_program_ends_it_does_not_wait():
    command = [sys.executable, "-c", AT_EXIT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIVENESS)
    assert (done.returncode, done.stderr) == (0, "")
