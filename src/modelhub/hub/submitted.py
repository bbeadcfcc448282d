"""The verbs of long work as jobs: what `hub.jobs.submit` takes, and what does it.

Each works as the verb of its name does, with the same parts: those are jobs of their own, which hang on it,
and which a call for the same shares.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from modelhub.facts import JobKind, JsonDict, Snapshot
from modelhub.hub.loading import Loading
from modelhub.hub.planning import Planning
from modelhub.hub.purging import Purger
from modelhub.hub.resolve import Resolver
from modelhub.hub.verify import Verifier
from modelhub.jobs import Handler, JobContext, Payload
from modelhub.planner import Wish
from modelhub.refs import ModelRef
from modelhub.tasks import find_task


def _named(model: Any) -> str:
    """A reference as any process understands it: a path is absolute."""
    ref = ModelRef.parse(model)
    return str(replace(ref, path=str(Path(ref.path).absolute())) if ref.path is not None else ref)


Model = Annotated[str, BeforeValidator(_named)]
Task = Annotated[str, AfterValidator(lambda task: find_task(task).id)]


class OfModel(Payload):
    """A repository, or a part of one."""

    model: Model


class OfVariant(OfModel):
    """A variant of it, by name."""

    variant: str | None = None


class Pull(OfVariant):
    """A variant, by name, or the best one for a task."""

    task: Task | None = None


@dataclass(frozen=True, slots=True)
class Verbs:
    """What does them."""

    resolver: Resolver
    planning: Planning
    loading: Loading
    verifier: Verifier
    purger: Purger

    def handlers(self) -> tuple[Handler[Any], ...]:
        """One a verb. Verifying reads the disk, and purging deletes: one at a time."""
        return (
            Handler(JobKind.SYNC, OfModel, self.sync, _same_model),
            Handler(JobKind.PULL, Pull, self.pull),
            Handler(JobKind.VERIFY, OfVariant, self.verify, limit=1),
            Handler(JobKind.PURGE, OfModel, self.purge, _same_model, limit=1),
        )

    def sync(self, asked: OfModel, context: JobContext) -> JsonDict:
        """`Hub.sync`; gives the repository and its commit."""
        target = self.resolver.sync(ModelRef.parse(asked.model), context.call, context.report)
        return {"repo": target.report.repo, "commit": target.commit}

    def pull(self, asked: Pull, context: JobContext) -> JsonDict:
        """`Hub.pull`; gives the snapshot's folder, and how many files and bytes it has."""
        target = self.resolver.resolve(ModelRef.parse(asked.model), context.call, context.report)
        wish = Wish(asked.task, target.tags, asked.variant)
        plan = self.planning.plan(target, wish, None, {}, whole=True)
        return _summed(self.loading.pull(target, plan, context.call, context.report))

    def verify(self, asked: OfVariant, context: JobContext) -> JsonDict:
        """`Hub.verify`; gives the verification."""
        ref = ModelRef.parse(asked.model)
        return self.verifier.verify(ref, asked.variant, context.call, context.report).model_dump()

    def purge(self, asked: OfModel, context: JobContext) -> JsonDict:
        """`Hub.purge`; gives the removal."""
        ref = ModelRef.parse(asked.model)
        return self.purger.purge(ref, context.call, context.report).model_dump()


def _same_model(asked: OfModel) -> str:
    """Vendors and names compare without case."""
    ref = ModelRef.parse(asked.model)
    return asked.model if ref.is_local else asked.model.replace(ref.id, ref.id.casefold(), 1)


def _summed(pulled: Snapshot) -> JsonDict:
    others = [_summed(each) for each in pulled.others]
    brief = pulled.model_dump(include={"repo", "commit", "path", "fetched_bytes", "reused_bytes"})
    return brief | {"files": len(pulled.files)} | ({"others": list(others)} if others else {})
