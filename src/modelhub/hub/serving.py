"""From a plan to an instance that answers."""

from contextlib import ExitStack
from dataclasses import dataclass, field

from modelhub.facts import Call, Plan, ProgressCallback, Provenance, RepoRecord
from modelhub.hub.code import CodeGate
from modelhub.hub.describing import described, provenance_of
from modelhub.hub.hindrances import check_runnable
from modelhub.hub.how import How
from modelhub.hub.loading import Loading
from modelhub.hub.planning import Planning
from modelhub.hub.ready import Ready, ReadyPlans
from modelhub.hub.resolve import Target
from modelhub.planner import Preferences, Wish
from modelhub.runtimes import InstanceKey, Instances, Lease


@dataclass(frozen=True, slots=True)
class Serving:
    """Gives instances that answer, by plans that are made once."""

    planning: Planning
    loading: Loading
    gate: CodeGate
    instances: Instances
    _ready: ReadyPlans = field(default_factory=ReadyPlans)

    def serve(
        self, target: Target, wish: Wish, how: How, call: Call, on_progress: ProgressCallback | None
    ) -> tuple[Lease, Provenance]:
        """An instance that answers as wished, fetched and loaded first if it has to be.

        A model that is loaded is taken again without planning anew; one with code of its repository
        only while that is allowed.
        """
        place = InstanceKey.of((), how.runtime or "", how.device or "", how.options)
        asked = (target.record.id, target.commit, wish, Preferences.of(target.record), place, how.trust)
        ready = self._ready.get(asked)
        if ready is None or not self.instances.holds(ready.key):
            ready = self._prepare(target, wish, how, call, on_progress)
            self._ready.put(asked, ready)
        else:
            self._check_code(target, ready.plan)
        with ExitStack() as held:  # until the row of what was loaded holds it
            lease = self.instances.acquire(
                ready.key,
                lambda: self.loading.load(ready, how.options, call, on_progress, held),
                call,
                lambda instance: described(ready, instance),
            )
        try:
            self._check_code(target, ready.plan)  # again: it may have been long until it was our turn
        except BaseException:
            lease.release()
            raise
        return lease, ready.provenance

    def revoke_code(self, target: Target) -> bool:
        """Allow none of a commit's code any more, and end what runs of it; whether any was allowed."""
        revoked = self.gate.revoke(target)
        self._ready.forget(target)
        return revoked

    def uses(self, record: RepoRecord) -> bool:
        """Whether a model of the repository, or one with parts of it, is loaded here or being loaded."""
        return any(self.instances.holds(ready.key) for ready in self._ready.of(record))

    def forget(self, record: RepoRecord) -> None:
        """Carry out no plan for the repository again that was made before."""
        for ready in self._ready.of(record):
            self._ready.forget(ready.target)

    def _check_code(self, target: Target, plan: Plan) -> None:
        """Refuse code that nobody allows (any more), and end what runs of it: another process may have
        revoked it.
        """
        refused = self.gate.refusal(target, plan)
        if refused is not None:
            self._ready.forget(target)
            self.gate.running.end(target)
            raise refused

    def _prepare(
        self, target: Target, wish: Wish, how: How, call: Call, on_progress: ProgressCallback | None
    ) -> Ready:
        plan = self.planning.plan(target, wish, how.device, how.options, trust=how.trust)
        self.planning.licenses.admit(target.report, plan)
        check_runnable(plan)
        self._check_code(target, plan)
        if not all(file.sha256 for file in plan.weights):
            # The source does not tell their hashes: they are known once the files are here.
            self.loading.pull(target, plan, call, on_progress)
            target = self.planning.resolver.reread(target)
            plan = self.planning.plan(target, wish, how.device, how.options, trust=how.trust)
        provenance = provenance_of(plan, self.planning.runtimes.version(str(plan.runtime)))
        digests = [file.sha256 for file in provenance.files]
        key = InstanceKey.of(digests, provenance.runtime, plan.device, how.options, how.trust)
        return Ready(target, plan, key, provenance)
