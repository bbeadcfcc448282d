"""What an instance does whose engine does not come back."""

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from modelhub.errors import Cancelled, EngineError
from modelhub.facts import Call
from modelhub.runtimes import Capabilities
from modelhub.runtimes.serial import SerialInstance
from modelhub.runtimes.testing import LIVENESS
from modelhub.runtimes.turn import Say
from modelhub.tasks import ChatChunk, ChatRequest, Request, chat_request

HI = chat_request("Hi")


class Stuck(SerialInstance):
    """Its engine goes on until it is let go."""

    engine = "stuck"

    def __init__(self) -> None:
        super().__init__(Capabilities(streaming=True), (ChatRequest,))
        self.go = threading.Event()
        self.done: list[str] = []

    def work(self, request: Request, call: Call, say: Say) -> None:
        say(ChatChunk(text="a"))
        self.go.wait(LIVENESS)
        self.done.append("work")

    def release(self) -> None:
        self.done.append("release")


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stuck]:
    monkeypatch.setattr("modelhub.runtimes.serial.PATIENCE", 0.3)
    instance = Stuck()
    yield instance
    instance.go.set()


def test_closing_does_not_wait_for_ever(stuck: Stuck, caplog: pytest.LogCaptureFixture) -> None:
    stream = stuck.stream(HI, Call())
    next(stream)
    begin = time.monotonic()
    with caplog.at_level(logging.ERROR):
        stuck.close()
    assert 0.3 <= time.monotonic() - begin < LIVENESS / 2
    assert [record.message for record in caplog.records] == ["instance_stuck"]
    with pytest.raises(Cancelled, match="unloaded"):
        next(stream)
    with pytest.raises(EngineError, match="was unloaded"):
        stuck.infer(HI, Call())
    stuck.close()
    assert stuck.done == []


def test_one_that_comes_back_in_time_is_released(
    stuck: Stuck, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("modelhub.runtimes.serial.PATIENCE", LIVENESS)
    stream = stuck.stream(HI, Call())
    next(stream)
    threading.Timer(0.2, stuck.go.set).start()
    stuck.close()
    assert stuck.done == ["work", "release"]
    assert caplog.records == []


def test_its_thread_does_not_hold_up_the_end_of_the_program(stuck: Stuck) -> None:
    stream = stuck.stream(HI, Call())
    next(stream)
    workers = [thread for thread in threading.enumerate() if thread.name.startswith("stuck-")]
    assert [thread.daemon for thread in workers] == [True]
