"""kill -9 in the middle of everything: no caller waits, nothing is left, and the next request is served."""

import os
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import select

from modelhub.errors import LoadFailed, ModelHubError, ProcessLost
from modelhub.facts import Call, InstanceRecord
from modelhub.registry import InstanceBook, Registry
from modelhub.registry.tables import InstanceRow
from modelhub.runtimes import Instance, Instances, Lease
from modelhub.runtimes.llama_server import LlamaServerRuntime
from modelhub.runtimes.processes import is_gone, process_mark
from modelhub.runtimes.testing import Subject
from modelhub.tasks import ChatRequest, chat_request
from tests.registry.test_serving import LOADED
from tests.runtimes.hosts.test_process import AT_MOST, group, group_of_mine, soon
from tests.runtimes.zoo import bundle

pytest.importorskip("xllamacpp", reason="the llama-server extra is not installed")

LONG_PROMPT = chat_request("x" * 7000, temperature=0)
LONG_ANSWER = chat_request("Go on.", temperature=0, max_tokens=5000)
SHORT = chat_request("Go on.", temperature=0, max_tokens=1)


@pytest.fixture
def subject(slow_gguf: Path) -> Subject:
    model = bundle(slow_gguf.parent, slow_gguf.name)
    return Subject(LlamaServerRuntime(), model, {"n_threads": 1})


@pytest.mark.soak
def test_fifty_times_in_load_prompt_and_answer(
    subject: Subject, rounds: Callable[[int, int], int], database_url: str
) -> None:
    dice = random.Random(7)
    before = set(group_of_mine())
    registry = Registry.open(database_url)
    stages = [_in_load, _in_the_prompt, _in_the_answer]
    for number in range(rounds(6, 50)):
        model = _Model(subject, registry)
        stages[number % 3](model, dice)
        with model.acquire() as instance:
            assert instance.infer(SHORT, Call()).usage.completion_tokens == 1  # type: ignore[attr-defined]
        model.close()
        assert _rows(registry) == 0
    registry.close()
    soon(lambda: set(group_of_mine()) == before)


def _rows(registry: Registry) -> int:
    with registry.read() as tx:
        return len(tx.session.scalars(select(InstanceRow)).all())


class _Model:
    """A model on the process host, with a row while it is loaded."""

    def __init__(self, subject: Subject, registry: Registry) -> None:
        self._subject = subject
        self._instances = Instances(InstanceBook(registry, is_gone))
        self.close = self._instances.close

    def acquire(self) -> Lease:
        def describe(instance: Instance) -> InstanceRecord:
            return LOADED.model_copy(update={"process": process_mark(instance.pid)})

        return self._instances.acquire("key", lambda: self._subject.load("process"), Call(), describe)

    def ask(self, request: ChatRequest) -> None:
        with self.acquire() as instance:
            instance.infer(request, Call())

    def read(self, request: ChatRequest, begun: Event) -> None:
        with self.acquire() as instance:
            for _ in instance.stream(request, Call()):
                begun.set()


def _in_load(model: _Model, dice: random.Random) -> None:
    before = set(group_of_mine())
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(model.ask, LONG_ANSWER) for _ in range(2)]
        soon(lambda: set(group_of_mine()) - before)
        (pid,) = set(group_of_mine()) - before
        time.sleep(dice.random() * 0.3)
        _kill(pid, asked, LoadFailed, ProcessLost)


def _in_the_prompt(model: _Model, dice: random.Random) -> None:
    with model.acquire() as instance:
        pid = instance.pid
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(model.ask, LONG_PROMPT) for _ in range(2)]
        time.sleep(0.1 + dice.random() * 0.2)
        _kill(pid, asked, ProcessLost)


def _in_the_answer(model: _Model, dice: random.Random) -> None:
    begun = Event()
    with model.acquire() as instance:
        pid = instance.pid
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(model.read, LONG_ANSWER, begun), pool.submit(model.ask, LONG_ANSWER)]
        assert begun.wait(20)
        time.sleep(dice.random() * 0.1)
        _kill(pid, asked, ProcessLost)


def _kill(pid: int | None, asked: "list[Future[None]]", *kinds: type[ModelHubError]) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    for future in asked:
        error = future.exception(timeout=20)
        assert isinstance(error, kinds), error
    assert time.monotonic() - killed < AT_MOST
    soon(lambda: not group(pid))
