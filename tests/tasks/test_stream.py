import gc

import pytest

from modelhub.errors import EngineError
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
