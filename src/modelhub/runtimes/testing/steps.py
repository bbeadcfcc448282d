"""The rules for runtimes that work in steps, and tell after each how far they are."""

from collections.abc import Sequence
from typing import Any, ClassVar

from modelhub.errors import Cancelled
from modelhub.facts import Call, Progress
from modelhub.runtimes.base import Instance
from modelhub.runtimes.testing.contract import RuntimeContract, rule
from modelhub.runtimes.testing.subject import Case


class StepsContract(RuntimeContract):
    """For an instance that reports `call.progress` after each step of a case's request.

    `steps` is how many steps a case takes; `previews` says that some of them have a picture.
    """

    steps: ClassVar[int]
    previews: ClassVar[bool] = False

    @rule
    def test_progress_counts_every_step(self, instance: Instance, cases: Sequence[Case]) -> None:
        for case in cases:
            seen: list[Progress] = []
            call = Call(on_progress=seen.append)
            self.gives(instance.infer, case.request, call)
            assert [progress.done for progress in seen] == list(range(1, self.steps + 1))
            assert {progress.total for progress in seen} == {self.steps}

    @rule
    def test_some_steps_have_a_preview(self, instance: Instance, cases: Sequence[Case]) -> None:
        seen: list[Progress] = []
        self.gives(instance.infer, cases[0].request, Call(on_progress=seen.append))
        assert any(progress.preview for progress in seen) == self.previews

    @rule
    def test_cancel_ends_it_within_a_step(self, instance: Instance, cases: Sequence[Case]) -> None:
        seen: list[int] = []
        call = Call(on_progress=lambda progress: self._cancel_at(progress, seen, call))
        ended: Any = self.ends(instance.infer, cases[0].request, call)
        assert isinstance(ended, Cancelled)
        assert seen[-1] <= self.steps // 2 + 1

    def _cancel_at(self, progress: Progress, seen: list[int], call: Call) -> None:
        seen.append(progress.done)
        if progress.done == self.steps // 2:
            call.cancel()
