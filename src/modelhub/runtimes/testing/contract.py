"""The rules for every runtime, whatever shape its work has."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from modelhub.errors import (
    Cancelled,
    DeadlineExceeded,
    EngineError,
    FormatError,
    InvalidInput,
    LoadFailed,
    ModelHubError,
    TaskNotSupported,
)
from modelhub.facts import Call, Token
from modelhub.runtimes.base import API_VERSION, Footprint, Instance, Support
from modelhub.runtimes.devices import find_device
from modelhub.runtimes.gate import Gate
from modelhub.runtimes.guard import typed_errors
from modelhub.runtimes.testing.subject import HOSTS, Case, Subject, UnknownRequest
from modelhub.runtimes.testing.watch import Leftovers, left_behind, outcome
from modelhub.tasks import ChatReply, Request, Result

LIVENESS = 20.0
"""Seconds in which something must happen at all, on a machine that is busy with other things."""

rule = pytest.mark.modelhub_rule


class RuntimeContract:
    """Inherit it, give `make_subject`, `make_cases` and `make_endless`, and the others as they fit.

    Each rule is tried on each host. A rule that does not hold for a runtime on purpose is set to
    `None` in the class of its tests, with the reason beside it.
    """

    liveness: ClassVar[float] = LIVENESS

    # What a runtime's tests give

    def make_subject(self) -> Subject:
        """The runtime with a model that knows the cases."""
        raise NotImplementedError

    def make_cases(self) -> Sequence[Case]:
        """Requests and the answers to them; two at least, whose answers differ."""
        raise NotImplementedError

    def make_endless(self) -> tuple[Subject, Request]:
        """A subject and a request that it works on for a minute or longer, if nobody stops it."""
        raise NotImplementedError

    def make_unreadable(self) -> Subject | None:
        """A subject whose files its engine cannot read, if it reads any."""
        return None

    def make_failing(self) -> tuple[Subject, Request, str] | None:
        """A subject, a request at which its engine fails, and what the engine says then."""
        return None

    def read(self, result: Result) -> Any:
        """What of a result is compared with a case's answer."""
        return result.text if isinstance(result, ChatReply) else result

    # What the rules work with

    @pytest.fixture(scope="class", params=sorted(HOSTS))
    @classmethod
    def host(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> Subject:
        return cls().make_subject()

    @pytest.fixture(scope="class")
    @classmethod
    def cases(cls) -> Sequence[Case]:
        return cls().make_cases()

    @pytest.fixture(scope="class")
    @classmethod
    def endless(cls) -> Subject:
        return cls().make_endless()[0]

    @pytest.fixture(scope="class")
    @classmethod
    def endless_request(cls) -> Request:
        return cls().make_endless()[1]

    @pytest.fixture(scope="class")
    @classmethod
    def unreadable(cls) -> Subject | None:
        return cls().make_unreadable()

    @pytest.fixture(scope="class")
    @classmethod
    def failing(cls) -> tuple[Subject, Request, str] | None:
        return cls().make_failing()

    @pytest.fixture(scope="class")
    @classmethod
    def instance(cls, subject: Subject, host: str) -> Iterator[Instance]:
        instance = subject.load(host)
        yield instance
        instance.close()

    @pytest.fixture(scope="class")
    @classmethod
    def slow(cls, endless: Subject, host: str) -> Iterator[Instance]:
        instance = endless.load(host)
        yield instance
        instance.close()

    def ends(self, work: Callable[..., Any], *given: Any) -> Any:
        """What `work` gives or raises, which must be soon."""
        return outcome(self.liveness, work, *given)

    def gives(self, work: Callable[..., Any], *given: Any) -> Any:
        """What `work` gives, which must be soon."""
        ended = self.ends(work, *given)
        if isinstance(ended, BaseException):
            raise ended
        return ended

    # What it says of itself

    @rule
    def test_it_describes_itself(self, subject: Subject) -> None:
        runtime = subject.runtime
        assert runtime.api_version == API_VERSION
        assert runtime.name
        assert runtime.tasks
        assert runtime.formats
        assert isinstance(runtime.version(), str)
        assert runtime.version()

    @rule
    def test_its_module_imports_no_engine(self, subject: Subject) -> None:
        module, engines = type(subject.runtime).__module__, subject.runtime.requires
        path = [entry for entry in sys.path if entry]
        code = (
            f"import sys; sys.path[:] = {path!r}; import {module};"
            f"print([name for name in {engines!r} if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"

    @rule
    def test_it_supports_what_it_loads(self, subject: Subject) -> None:
        bundle = subject.bundle
        support = subject.runtime.supports(bundle.model, bundle.variant, find_device("cpu"))
        assert isinstance(support, Support)
        assert support.ok, support.reason

    @rule
    def test_it_predicts_its_memory(self, subject: Subject) -> None:
        bundle, device = subject.bundle, find_device("cpu")
        predicted = subject.runtime.footprint(bundle.model, bundle.variant, device, subject.options)
        assert isinstance(predicted, Footprint)
        assert sum(predicted.per_device.values()) <= predicted.total

    @rule
    def test_it_lists_what_is_missing(self, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
        assert subject.runtime.missing() == ()
        monkeypatch.setattr(type(subject.runtime), "requires", ("no_such_engine",))
        assert subject.runtime.missing() == ("no_such_engine",)

    @rule
    def test_an_unknown_option_is_refused_by_name(self, subject: Subject, host: str) -> None:
        with pytest.raises(InvalidInput, match="no_such_option"):
            subject.load(host, no_such_option=1).close()

    # Answers

    @rule
    def test_infer_gives_the_answer(self, instance: Instance, cases: Sequence[Case]) -> None:
        for case in cases:
            assert self.read(self.gives(instance.infer, case.request, Call())) == case.answer

    @rule
    def test_a_batch_is_answered_in_its_order(self, instance: Instance, cases: Sequence[Case]) -> None:
        some = [*cases[:4], *cases[:4]]  # a few: all of them must end within `liveness`
        requests = [case.request for case in some]
        answers = self.gives(instance.infer_many, requests, [Call() for _ in requests])
        assert [self.read(answer) for answer in answers] == [case.answer for case in some]

    @rule
    def test_a_bad_request_costs_its_batch_nothing(
        self, instance: Instance, cases: Sequence[Case]
    ) -> None:
        first, second = cases[:2]
        over, late = Call(), Call(timeout=1e-6)
        over.cancel()
        requests = [first.request, UnknownRequest(), first.request, first.request, second.request]
        calls = [Call(), Call(), over, late, Call()]
        good, unknown, cancelled, passed, last = self.gives(instance.infer_many, requests, calls)
        assert (self.read(good), self.read(last)) == (first.answer, second.answer)
        assert isinstance(unknown, TaskNotSupported)
        assert isinstance(cancelled, Cancelled)
        assert isinstance(passed, DeadlineExceeded)

    @rule
    def test_another_kind_of_request_is_refused(self, instance: Instance) -> None:
        with pytest.raises(TaskNotSupported):
            instance.infer(UnknownRequest(), Call())
        with pytest.raises(TaskNotSupported):
            list(instance.stream(UnknownRequest(), Call()))

    # Calls that end early

    @rule
    def test_a_cancelled_call_does_not_begin(self, slow: Instance, endless_request: Request) -> None:
        call = Call()
        call.cancel()
        assert isinstance(self.ends(slow.infer, endless_request, call), Cancelled)

    @rule
    def test_cancel_from_another_thread_ends_infer(
        self, slow: Instance, endless_request: Request
    ) -> None:
        token = Token()
        timer = threading.Timer(0.3, token.cancel)
        timer.start()
        ended = self.ends(slow.infer, endless_request, Call(token=token))
        timer.join()
        assert isinstance(ended, Cancelled)

    @rule
    def test_the_deadline_ends_infer(self, slow: Instance, endless_request: Request) -> None:
        ended = self.ends(slow.infer, endless_request, Call(timeout=0.3))
        assert isinstance(ended, DeadlineExceeded)

    @rule
    def test_after_an_early_end_the_instance_still_serves(
        self, slow: Instance, endless_request: Request
    ) -> None:
        for _ in range(3):
            ended = self.ends(slow.infer, endless_request, Call(timeout=0.1))
            assert isinstance(ended, DeadlineExceeded)

    # Errors

    @rule
    def test_files_that_cannot_be_read_are_refused(self, unreadable: Subject | None, host: str) -> None:
        if unreadable is None:
            pytest.skip("its tests give no files that it cannot read")
        error = self.ends(lambda: unreadable.load(host).close())
        assert isinstance(error, LoadFailed | FormatError), error
        assert len(error.message) > 10

    @rule
    def test_an_error_of_the_engine_is_typed_and_kept(
        self, failing: tuple[Subject, Request, str] | None, host: str
    ) -> None:
        if failing is None:
            pytest.skip("its tests do not make its engine fail")
        subject, request, said = failing
        instance = subject.load(host)
        with pytest.raises(EngineError) as caught, typed_errors(subject.runtime.name):
            self.gives(instance.infer, request, Call())
        error = caught.value
        instance.close()
        assert said in error.message
        assert said in str(error.__cause__)

    # Several at once

    @rule
    def test_callers_of_one_instance_all_get_their_own_answer(
        self, instance: Instance, cases: Sequence[Case]
    ) -> None:
        gate = Gate(instance.capabilities.max_concurrency)

        def ask(case: Case) -> Any:
            gate.enter(Call(timeout=self.liveness))
            try:
                return self.read(instance.infer(case.request, Call()))
            finally:
                gate.leave()

        wanted = [cases[index % len(cases)] for index in range(12)]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(ask, wanted)) == [case.answer for case in wanted]

    @rule
    def test_it_takes_as_many_calls_as_it_says(self, slow: Instance, endless_request: Request) -> None:
        count = min(4, slow.capabilities.max_concurrency)
        token = Token()
        with ThreadPoolExecutor(count) as pool:
            asked = [
                pool.submit(slow.infer, endless_request, Call(token=token, timeout=self.liveness))
                for _ in range(count)
            ]
            threading.Event().wait(0.2)
            assert not [future for future in asked if future.done()]
            token.cancel()
            ended = [future.exception(timeout=self.liveness) for future in asked]
        assert all(isinstance(error, Cancelled) for error in ended), ended

    # The end

    @rule
    def test_close_twice_and_no_use_after(
        self, subject: Subject, cases: Sequence[Case], host: str
    ) -> None:
        instance = subject.load(host)
        instance.close()
        instance.close()
        with pytest.raises(EngineError, match="unloaded"):
            instance.infer(cases[0].request, Call())

    @rule
    def test_close_ends_what_is_running(
        self, endless: Subject, endless_request: Request, host: str
    ) -> None:
        instance = endless.load(host)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(instance.infer, endless_request, Call(timeout=2 * self.liveness))
            threading.Event().wait(0.3)
            self.gives(instance.close)
            error = asked.exception(timeout=self.liveness)
        assert isinstance(error, Cancelled | EngineError)

    @rule
    def test_two_instances_do_not_share_an_end(
        self, subject: Subject, cases: Sequence[Case], host: str
    ) -> None:
        first, second = subject.load(host), subject.load(host)
        first.close()
        answer = self.read(second.infer(cases[0].request, Call()))
        second.close()
        assert answer == cases[0].answer

    @rule
    def test_nothing_is_left_behind(self, subject: Subject, cases: Sequence[Case], host: str) -> None:
        self._use_once(subject, cases[0], host)  # what a library opens once stays open
        before = Leftovers.now()
        self._use_once(subject, cases[0], host)
        left = left_behind(before, min(self.liveness, 5.0))
        assert not left, f"after close it has left {left}"

    def _use_once(self, subject: Subject, case: Case, host: str) -> None:
        instance = subject.load(host)
        instance.infer(case.request, Call())
        error = self.ends(instance.infer, UnknownRequest(), Call())
        assert isinstance(error, ModelHubError)
        instance.close()
