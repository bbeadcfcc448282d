"""From a plan to an instance that answers."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from modelhub.errors import (
    DoesNotFit,
    IntegrityError,
    RuntimeNotFound,
    RuntimeNotInstalled,
    StoreFull,
)
from modelhub.facts import (
    Call,
    Device,
    InstanceRecord,
    MemoryNeed,
    Model,
    PassedBy,
    Plan,
    ProgressCallback,
    Provenance,
    RepoRecord,
    RuntimeView,
    Snapshot,
    Variant,
    WeightFile,
)
from modelhub.facts.base import human_bytes
from modelhub.hub.code import CodeGate
from modelhub.hub.how import How
from modelhub.hub.licenses import LicenseGate
from modelhub.hub.places import Place, place_of, places
from modelhub.hub.pulling import Puller, whole
from modelhub.hub.ready import Ready, ReadyPlans
from modelhub.hub.resolve import Resolver, Target
from modelhub.planner import (
    Blocked,
    Offer,
    Pair,
    Preferences,
    Room,
    Wish,
    candidates,
    check_runtime_name,
    choose_device,
    make_plan,
)
from modelhub.registry.introspect import metadata_wanted
from modelhub.runtimes import (
    Bundle,
    Instance,
    InstanceKey,
    Instances,
    Lease,
    Runtimes,
    Support,
    devices,
)
from modelhub.runtimes.bound import cannot_bind
from modelhub.runtimes.guard import memory_of
from modelhub.runtimes.hosts import Hosts, Order
from modelhub.runtimes.processes import process_mark
from modelhub.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Serving:
    """Plans, fetches and loads."""

    resolver: Resolver
    store: Store
    puller: Puller
    gate: CodeGate
    licenses: LicenseGate
    runtimes: Runtimes
    instances: Instances
    hosts: Hosts
    _ready: ReadyPlans = field(default_factory=ReadyPlans)

    def check_names(self, runtime: str | None, device: str | None) -> None:
        """Refuse what is not on this machine before anything is asked of anybody.

        Raises:
            RuntimeNotFound, RuntimeBroken, InvalidInput
        """
        if runtime is not None:
            check_runtime_name(self.runtimes.views(), runtime)
            self.runtimes.load(runtime)
        if device is not None:
            choose_device(devices(), device)

    def plan(
        self,
        target: Target,
        wish: Wish,
        device: str | None,
        options: Mapping[str, Any],
        *,
        whole: bool = False,
    ) -> Plan:
        """What would run. Opens no socket.

        A `whole` plan has every component, even those that the runtime does not use.
        """
        self.check_names(wish.runtime, None)
        where = choose_device(devices(), device)
        companions = metadata_wanted(self.resolver.listing(target))
        files = [file for model in target.report.models for v in model.variants for _, file in v.files()]
        present = self.store.present({f.sha256 for f in (*files, *companions) if f.sha256})
        preferences = Preferences.of(target.record)
        pairs = candidates(target.report, wish, preferences.tasks)
        plan = make_plan(
            target.report,
            wish,
            list(self._offers(pairs, wish, where, options, whole=whole)),
            where,
            present.__contains__,
            companions,
            preferences=preferences,
            blocked=dict(self._blocked(target, pairs)),
            room=Room(self.store.free()),
        )
        if plan.runtime is not None:
            self.runtimes.load(plan.runtime).check_options(options)
        if (refused := self.gate.refusal(target, plan)) is not None:
            update = {"why": (*plan.why, refused.message), "steps": (*plan.steps, refused.hint)}
            plan = plan.model_copy(update=update)
        return self.licenses.marked(target.report, plan)

    def _blocked(self, target: Target, pairs: Sequence[Pair]) -> Iterator[tuple[str, Blocked]]:
        """The variants that the policy refuses, and those with code that nobody has allowed."""
        for model, variant in pairs:
            if refused := self.licenses.refusal(target.report, model, variant):
                yield variant.name, Blocked(PassedBy.LICENSE, f"is refused: {refused.message}")
            elif code := self.gate.variant_refusal(target, variant):
                yield variant.name, Blocked(PassedBy.NEEDS_CODE, f"is refused: {code.message}")

    def _offers(
        self,
        pairs: Sequence[Pair],
        wish: Wish,
        device: Device,
        options: Mapping[str, Any],
        *,
        whole: bool,
    ) -> Iterator[Offer]:
        for view in self.runtimes.views():
            if view.tasks:  # else it is broken, and says so where runtimes are listed
                unused = () if whole else view.unused
                for model, variant in pairs:
                    yield self._offer(wish, view, model, variant.without(unused), device, options)

    def _offer(
        self,
        wish: Wish,
        view: RuntimeView,
        model: Model,
        variant: Variant,
        device: Device,
        options: Mapping[str, Any],
    ) -> Offer:
        digests = [str(file.sha256) for _, file in variant.files()]
        loaded = self.instances.holds(InstanceKey.of(digests, view.name, device.name, options))
        if model.task not in view.tasks:
            reason = f"{view.name} does not serve {model.task}"
            return Offer(view, model, variant, device, ok=False, need=MemoryNeed.whole(0), reason=reason)
        try:
            runtime = self.runtimes.load(view.name)
            support = runtime.supports(model, variant, device)
            if wish.bound is not None and wish.bound not in runtime.response_formats:
                support = Support(ok=False, reason=cannot_bind(view.name, wish.bound))
            footprint = runtime.footprint(model, variant, device, options)
            need = footprint.need or MemoryNeed.whole(footprint.total)
        except (Exception, SystemExit) as error:
            # A plugin that fails here is only not to be had; the others are.
            log.exception("runtime_broken", extra={"runtime_type": view.name})
            reason = f"{view.name} is broken: {type(error).__name__}: {error}"
            return Offer(view, model, variant, device, ok=False, need=MemoryNeed.whole(0), reason=reason)
        reason = "" if support.ok else support.reason
        return Offer(view, model, variant, device, support.ok, need, reason, loaded)

    def pull(
        self,
        target: Target,
        plan: Plan,
        call: Call,
        on_progress: ProgressCallback | None = None,
    ) -> Snapshot:
        """The plan's files, verified, in a folder.

        Raises:
            LicenseRefused: by the Hub's policy; nothing is fetched.
            StoreFull: there is not enough room for all of it; nothing is fetched.
        """
        return whole(self._pull(target, plan, call, on_progress))

    def _pull(
        self, target: Target, plan: Plan, call: Call, on_progress: ProgressCallback | None
    ) -> dict[Place, Snapshot]:
        """The folders with the plan's files, by repository, its own first."""
        self.licenses.admit(target.report, plan)
        check_room(plan)
        what = {"model": plan.model.name, "variant": plan.variant}
        pulled: dict[Place, Snapshot] = {}
        for place, paths in places(target.report, plan).items():
            own = not pulled
            home = target if own else self.resolver.part_of(place, call, on_progress)
            # Who pulls these files for another model, or of another, does other work.
            why = what if own else what | {"for": target.report.repo}
            pulled[place] = self.puller.pull(home, why, paths, call, on_progress)
        return pulled

    def serve(
        self, target: Target, wish: Wish, how: How, call: Call, on_progress: ProgressCallback | None
    ) -> tuple[Lease, Provenance]:
        """An instance that answers as wished, fetched and loaded first if it has to be.

        A model that is loaded is taken again without planning anew; one with code of its repository
        only while that is allowed.
        """
        place = InstanceKey.of((), how.runtime or "", how.device or "", how.options)
        asked = (target.record.id, target.commit, wish, Preferences.of(target.record), place)
        ready = self._ready.get(asked)
        if ready is None or not self.instances.holds(ready.key):
            ready = self._prepare(target, wish, how, call, on_progress)
            self._ready.put(asked, ready)
        else:
            self._check_code(target, ready.plan)
        lease = self.instances.acquire(
            ready.key,
            lambda: self._load(ready, how.options, call, on_progress),
            call,
            lambda instance: _described(ready, instance),
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
        plan = self.plan(target, wish, how.device, how.options)
        self.licenses.admit(target.report, plan)
        check_runnable(plan)
        self._check_code(target, plan)
        if not all(file.sha256 for file in plan.weights):
            # The source does not tell their hashes: they are known once the files are here.
            self.pull(target, plan, call, on_progress)
            target = self.resolver.reread(target)
            plan = self.plan(target, wish, how.device, how.options)
        provenance = self._provenance(plan)
        digests = [file.sha256 for file in provenance.files]
        key = InstanceKey.of(digests, provenance.runtime, plan.device, how.options)
        return Ready(target, plan, key, provenance)

    def _load(
        self,
        ready: Ready,
        options: Mapping[str, Any],
        call: Call,
        on_progress: ProgressCallback | None,
    ) -> Instance:
        plan = ready.plan
        assert plan.runtime is not None
        pulled = self._pull(ready.target, plan, call, on_progress)
        homes = {part.name: place_of(ready.target.report, part) for part in plan.components}
        roots = {name: pulled[place].path for name, place in homes.items() if place in pulled}
        allowed = self.gate.admit(ready.target, plan, pulled)
        bundle = Bundle(plan.model, plan.choice, roots, code_allowed=allowed)
        runtime = self.runtimes.load(plan.runtime)
        device = choose_device(devices(), plan.device)
        order = Order(runtime, self.runtimes.origin(runtime.name), bundle, device, options)
        instance = self.hosts.choose(runtime, bundle).load(order, self.instances.parts, call)
        if allowed:
            self.gate.running.add(ready.target, instance)
        return instance

    def _provenance(self, plan: Plan) -> Provenance:
        """Which bytes an answer of this plan comes from: all of them, or it is an error."""
        assert plan.runtime is not None
        files = []
        for file in plan.weights:
            if file.sha256 is None:
                raise IntegrityError(
                    f"{plan.repo}: the hash of {file.path} is not known", path=file.path
                )
            files.append(WeightFile(repo=file.repo, path=file.path, sha256=file.sha256))
        return Provenance(
            repo=plan.repo,
            commit=plan.commit,
            model=plan.model.name,
            variant=plan.variant,
            runtime=plan.runtime,
            runtime_version=self.runtimes.version(plan.runtime),
            device=plan.device,
            files=tuple(files),
        )


def _described(ready: Ready, instance: Instance) -> InstanceRecord:
    """What is written down of a loaded model."""
    provenance, plan = ready.provenance, ready.plan
    return InstanceRecord(
        repo=provenance.repo,
        commit=provenance.commit,
        model=provenance.model,
        variant=provenance.variant,
        digest=provenance.digest,
        config=sha256(ready.key.options.encode()).hexdigest(),
        filename=provenance.files[0].path if provenance.files else None,
        runtime=provenance.runtime,
        runtime_version=provenance.runtime_version,
        device=provenance.device,
        predicted_bytes=plan.memory,
        measured_bytes=memory_of(provenance.runtime, instance),
        process=process_mark(instance.pid),
    )


def check_room(plan: Plan) -> None:
    """Refuse a plan for which the store's disk has no room, before anything is fetched.

    Raises:
        StoreFull: with the arithmetic.
    """
    if plan.fetch_bytes and plan.disk_free is not None and plan.disk_needed > plan.disk_free:
        raise StoreFull(
            f"{plan.repo}:{plan.variant} needs {human_bytes(plan.disk_needed)} of disk, "
            f"{human_bytes(plan.disk_free)} are free, "
            f"{human_bytes(plan.disk_needed - plan.disk_free)} are missing",
            hint="Free some space, take a smaller variant, or name a store on a larger disk.",
            need=plan.disk_needed,
            free=plan.disk_free,
        )


def check_runnable(plan: Plan) -> None:
    """Refuse a plan that cannot be carried out, saying what is in the way.

    Raises:
        RuntimeNotInstalled, RuntimeNotFound, DoesNotFit
    """
    if plan.runtime is None:
        why = "; ".join(plan.why) or "no runtime is known for it"
        install = plan.steps[0] if plan.steps and "pip install" in plan.steps[0] else ""
        if install:
            raise RuntimeNotInstalled(
                f"{plan.repo}:{plan.variant} cannot run here: {why}",
                hint=f"Run: {install}",
                install=install,
            )
        raise RuntimeNotFound(
            f"nothing here can run {plan.repo}:{plan.variant}: {why}",
            hint="`modelhub doctor` shows the runtimes and what they need.",
        )
    if not plan.fits:
        raise DoesNotFit(
            f"{plan.repo}:{plan.variant} needs {human_bytes(plan.memory)}, and {plan.device} has "
            f"{human_bytes(plan.memory_free)} free ({plan.need})",
            hint="Take a smaller variant or a shorter context (options={'n_ctx': …}).",
            needed=plan.memory,
            free=plan.memory_free,
        )
