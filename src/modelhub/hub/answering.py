"""From a request to its answer: resolve, load, ask, tell of it."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakSet

from modelhub.facts import Call, Provenance
from modelhub.hub.calls import Calls
from modelhub.hub.how import How, Model, check_request, default_model
from modelhub.hub.recorder import Recorder
from modelhub.hub.resolve import Resolver
from modelhub.hub.serving import Serving
from modelhub.hub.story import Story, signed, told
from modelhub.planner import Wish
from modelhub.progress import Reporter
from modelhub.refs import ModelRef
from modelhub.runtimes import Lease
from modelhub.runtimes.bound import format_of
from modelhub.runtimes.guard import check_result, checked_pieces, typed_errors
from modelhub.tasks import (
    ChatReply,
    ChatRequest,
    Request,
    Result,
    TaskName,
    checked_chunks,
    checked_reply,
    find_task,
)
from modelhub.tasks.stream import Stream


@dataclass(frozen=True)
class Answering:
    """The verbs of one Hub, all of which are `run` or `stream`."""

    calls: Calls
    resolver: Resolver
    serving: Serving
    recorder: Recorder
    _open: "WeakSet[Story]" = field(default_factory=WeakSet)
    """Streams whose end nobody has seen yet."""

    def run(self, task: str, model: Model | None, request: Request, how: How, show: Reporter) -> Result:
        """The whole answer."""
        name = find_task(task)
        self.recorder.start()
        with (
            self.calls.serve(how.timeout) as call,
            told(Story(call, name.id, self.recorder.add)) as story,
        ):
            lease, provenance = self._acquire(name, model, request, how, call, show, story)
            with lease as instance, typed_errors(provenance.runtime):
                result = check_result(provenance.runtime, instance.infer(request, call))
            story.took(getattr(result, "usage", None))
            if isinstance(result, ChatReply) and isinstance(request, ChatRequest):
                result = checked_reply(result, request)
            return result.model_copy(update={"provenance": provenance})

    def stream(
        self, task: str, model: Model | None, request: Request, how: How, show: Reporter
    ) -> Stream[Any]:
        """The answer piece by piece."""
        name = find_task(task)
        self.recorder.start()
        with self.calls.serve(how.timeout) as call:
            story = Story(call, name.id, self.recorder.add)
            self._open.add(story)
            try:
                lease, provenance = self._acquire(name, model, request, how, call, show, story)
                try:
                    with typed_errors(provenance.runtime):
                        pieces = lease.instance.stream(request, call)
                    pieces = checked_pieces(provenance.runtime, request, pieces)
                    if isinstance(request, ChatRequest):
                        pieces = checked_chunks(pieces, request)
                except BaseException:
                    lease.release()
                    raise
            except BaseException as error:
                story.end(error)
                raise
        finish = partial(_finish, lease, story)
        return Stream(signed(pieces, provenance, story), finish, call.cancel)

    def _acquire(
        self,
        name: TaskName,
        model: Model | None,
        request: Request,
        how: How,
        call: Call,
        show: Reporter,
        story: Story,
    ) -> tuple[Lease, Provenance]:
        check_request(name.id, request)
        ref = ModelRef.parse(default_model(name.id) if model is None else model)
        self.serving.planning.check_names(how.runtime, how.device)
        with show as shown:
            target = self.resolver.resolve(ref, call, shown)
            story.about(target.record.repo.id)
            wish = Wish(
                name.subtask or name.id, target.tags, how.variant, how.runtime, format_of(request)
            )
            lease, provenance = self.serving.serve(target, wish, how, call, shown)
        story.served_by(provenance, lease)
        return lease, provenance

    def close(self) -> None:
        """Streams that are still open have ended, and all calls are written down."""
        for story in tuple(self._open):
            story.end(GeneratorExit())
        self.recorder.flush()


def _finish(lease: Lease, story: Story) -> None:
    lease.release()
    story.end(GeneratorExit())  # nothing new where its pieces came to their end
