import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

import pytest

from modelhub.errors import Cancelled, DeadlineExceeded, EngineError, HubClosed, LoadFailed
from modelhub.facts import Call
from modelhub.refs import Digest
from modelhub.runtimes import Capabilities, Instance, InstanceKey, Instances, SharedParts
from modelhub.tasks import ChatReply, ChatRequest, FinishReason, Request, Usage, chat_request

LIVENESS = 10.0
ASK = chat_request("Hello")
REPLY = ChatReply(
    text="hello", finish_reason=FinishReason.STOP, usage=Usage(prompt_tokens=1, completion_tokens=1)
)


class Recorder(Instance):
    """Answers when told to, and counts who is inside."""

    def __init__(self, size: int = 1) -> None:
        self.capabilities = Capabilities(max_concurrency=size)
        self.go = threading.Event()
        self.inside = self.most = self.closed = 0
        self._lock = threading.Lock()

    def infer(self, request: Request, call: Call) -> ChatReply:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        try:
            while not self.go.wait(0.005):
                call.check()
                if self.closed:
                    raise EngineError("this model was unloaded")
        finally:
            with self._lock:
                self.inside -= 1
        return REPLY

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def instances() -> Iterator[Instances]:
    instances = Instances()
    yield instances
    instances.close()


def ask(instances: Instances, recorder: Recorder, request: ChatRequest = ASK) -> object:
    with instances.acquire("key", lambda: recorder) as instance:
        return instance.infer(request, Call())


def wait_until(instances: Instances, *, in_flight: int, waiting: int) -> None:
    until = monotonic() + LIVENESS
    while [(state.in_flight, state.waiting) for state in instances.list()] != [(in_flight, waiting)]:
        assert monotonic() < until, instances.list()
        sleep(0.001)


def test_one_instance_is_loaded_and_kept(instances: Instances) -> None:
    loads = []

    def load() -> Instance:
        loads.append(1)
        return Recorder()

    first = instances.acquire("key", load)
    assert [(state.key, state.in_flight) for state in instances.list()] == [("key", 1)]
    first.release()
    first.release()
    with instances.acquire("key", load) as again:
        assert again is first.instance
    (state,) = instances.list()
    assert (state.in_flight, state.waiting, len(loads)) == (0, 0, 1)
    assert state.last_used >= state.loaded_at
    assert state.load_seconds >= 0
    with instances.acquire("other", load) as other:
        assert other is not again
    assert len(instances.list()) == 2


@pytest.mark.parametrize("size", [1, 3])
def test_no_more_at_the_same_time_than_it_takes(instances: Instances, size: int) -> None:
    recorder = Recorder(size)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, instances, recorder) for _ in range(8)]
        wait_until(instances, in_flight=size, waiting=8 - size)
        recorder.go.set()
        assert [future.result(LIVENESS) for future in asked] == [REPLY] * 8
    assert recorder.most == size


def test_waiting_honours_the_call(instances: Instances) -> None:
    lease = instances.acquire("key", Recorder)
    with pytest.raises(DeadlineExceeded):
        instances.acquire("key", Recorder, Call(timeout=0.05))
    call = Call()
    call.cancel()
    with pytest.raises(Cancelled):
        instances.acquire("key", Recorder, call)
    lease.release()
    instances.acquire("key", Recorder, Call(timeout=LIVENESS)).release()


def test_a_lease_that_is_dropped_is_released(instances: Instances) -> None:
    lease = instances.acquire("key", Recorder)
    del lease
    gc.collect()
    instances.acquire("key", Recorder, Call(timeout=LIVENESS)).release()


def test_an_error_in_the_block_releases_too(instances: Instances) -> None:
    with pytest.raises(EngineError), instances.acquire("key", Recorder):
        raise EngineError("it broke")
    instances.acquire("key", Recorder, Call(timeout=LIVENESS)).release()


def test_a_failed_load_is_tried_again(instances: Instances) -> None:
    def fail() -> Instance:
        raise LoadFailed("no")

    with pytest.raises(LoadFailed):
        instances.acquire("key", fail)
    assert instances.list() == ()
    instances.acquire("key", Recorder).release()


class TestClose:
    def test_unloads_everything_and_refuses_afterwards(self) -> None:
        instances, recorder = Instances(), Recorder()
        instances.acquire("key", lambda: recorder).release()
        instances.close()
        instances.close()
        assert recorder.closed == 1
        assert instances.list() == ()
        with pytest.raises(HubClosed):
            instances.acquire("key", Recorder)

    def test_ends_running_calls_and_those_that_wait(self) -> None:
        instances, recorder = Instances(), Recorder()
        with ThreadPoolExecutor(3) as pool:
            asked = [pool.submit(ask, instances, recorder) for _ in range(3)]
            wait_until(instances, in_flight=1, waiting=2)
            instances.close()
            errors = [type(future.exception(LIVENESS)) for future in asked]
        assert sorted(error.__name__ for error in errors) == ["EngineError", "HubClosed", "HubClosed"]

    def test_lets_running_calls_finish_when_told_to(self) -> None:
        instances, recorder = Instances(), Recorder()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, instances, recorder)
            wait_until(instances, in_flight=1, waiting=0)
            threading.Timer(0.1, recorder.go.set).start()
            instances.close(drain=LIVENESS)
            assert asked.result(LIVENESS) is REPLY

    def test_waits_for_a_load_and_unloads_what_it_gives(self) -> None:
        instances, recorder = Instances(), Recorder()
        loading, go = threading.Event(), threading.Event()

        def load() -> Instance:
            loading.set()
            assert go.wait(LIVENESS)
            return recorder

        with ThreadPoolExecutor(2) as pool:
            asked = pool.submit(instances.acquire, "key", load)
            assert loading.wait(LIVENESS)
            closed = pool.submit(instances.close)
            sleep(0.05)
            assert not closed.done()
            go.set()
            closed.result(LIVENESS)
            assert isinstance(asked.exception(LIVENESS), HubClosed)
        assert recorder.closed == 1

    def test_one_that_does_not_unload_does_not_stop_the_others(self) -> None:
        class Broken(Recorder):
            def close(self) -> None:
                raise EngineError("stuck")

        instances, good = Instances(), Recorder()
        instances.acquire("a", Broken).release()
        instances.acquire("b", lambda: good).release()
        with pytest.raises(EngineError, match="stuck"):
            instances.close()
        assert good.closed == 1

    def test_several_that_do_not_unload_are_all_told(self) -> None:
        class Broken(Recorder):
            def close(self) -> None:
                raise EngineError("stuck")

        instances = Instances()
        for key in "ab":
            instances.acquire(key, Broken).release()
        with pytest.raises(ExceptionGroup, match="did not unload"):
            instances.close()


def test_a_key_does_not_depend_on_order() -> None:
    one = InstanceKey.of(["b", "a"], "echo", "cpu", {"x": 1, "y": [2]})
    two = InstanceKey.of(["a", "b"], "echo", "cpu", {"y": [2], "x": 1})
    assert one == two
    assert len({one, two}) == 1
    assert one != InstanceKey.of(["a", "b"], "echo", "cpu", {"x": 1})


def test_parts_are_made_once_and_shared() -> None:
    parts, made = SharedParts(), []
    digest, other = Digest.of(b"vae"), Digest.of(b"encoder")

    def make() -> object:
        made.append(1)
        return object()

    assert parts.get(digest, make) is parts.get(digest, make)
    assert parts.get(other, make) is not parts.get(digest, make)
    assert len(made) == 2
    parts.clear()
    parts.get(digest, make)
    assert len(made) == 3
