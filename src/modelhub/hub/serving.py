"""From a plan to an instance that answers."""

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from modelhub.errors import DoesNotFit, RuntimeNotFound, RuntimeNotInstalled
from modelhub.facts import (
    Call,
    Device,
    FileKind,
    JobKind,
    Plan,
    ProgressCallback,
    Provenance,
    RuntimeView,
    Snapshot,
    WeightFile,
)
from modelhub.facts.base import human_bytes
from modelhub.hub.how import How
from modelhub.hub.resolve import Resolver, Target
from modelhub.jobs import Fetcher, Jobs
from modelhub.planner import Offer, Wish, candidates, check_runtime_name, choose_device, make_plan
from modelhub.runtimes import Bundle, Instance, InstanceKey, Instances, Lease, Runtimes, devices
from modelhub.store import Store

log = logging.getLogger(__name__)

_WITH_WEIGHTS = frozenset({FileKind.CONFIG, FileKind.TOKENIZER, FileKind.CARD, FileKind.METADATA})


@dataclass(frozen=True, slots=True)
class _Ready:
    """A plan that can be carried out, and what follows from it."""

    target: Target
    plan: Plan
    key: InstanceKey
    provenance: Provenance


@dataclass(frozen=True)
class Serving:
    """Plans, fetches and loads."""

    resolver: Resolver
    jobs: Jobs
    fetcher: Fetcher
    store: Store
    runtimes: Runtimes
    instances: Instances
    _ready: dict[Hashable, "_Ready"] = field(default_factory=dict)

    @cached_property
    def views(self) -> tuple[RuntimeView, ...]:
        """The runtimes, as they were when first looked at."""
        return self.runtimes.views()

    def plan(self, target: Target, wish: Wish, device: str | None, options: Mapping[str, Any]) -> Plan:
        """What would run. Opens no socket."""
        check_runtime_name(self.views, wish.runtime)
        where = choose_device(devices(), device)
        present = self._present(target)
        return make_plan(
            target.report, wish, self._offers(target, wish, where, options), where, present.__contains__
        )

    def _present(self, target: Target) -> frozenset[str]:
        files = (f for model in target.report.models for v in model.variants for _, f in v.files())
        return self.store.present({file.sha256 for file in files if file.sha256})

    def _offers(
        self, target: Target, wish: Wish, device: Device, options: Mapping[str, Any]
    ) -> Sequence[Offer]:
        offers = []
        for view in self.views:
            if not view.tasks:
                continue  # broken or in conflict: it says so where runtimes are listed
            runtime = self.runtimes.load(view.name)
            for model, variant in candidates(target.report, wish):
                support = runtime.supports(variant, device)
                serves = model.task in view.tasks
                reason = support.reason if serves else f"{view.name} does not serve {model.task}"
                memory = runtime.footprint(model, variant, options)
                ok = support.ok and serves
                offers.append(Offer(view, model, variant, device, ok, memory, "" if ok else reason))
        return offers

    def pull(
        self,
        target: Target,
        plan: Plan,
        *,
        call: Call | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> Snapshot:
        """The variant's files and what describes them, verified, in a folder."""
        listing = self.resolver.listing(target)
        paths = {file.path for file in plan.files}
        paths |= {file.path for file in listing.files if file.kind in _WITH_WEIGHTS and file.sha256}
        missing = self.fetcher.missing(listing, sorted(paths))
        moved = 0
        if missing:
            source = self.resolver.source(target.record.repo.source)
            output = self.jobs.run(
                JobKind.ARTIFACT_DOWNLOAD,
                f"artifact_download:{target.record.repo.source}://{plan.repo}@{plan.commit}:{plan.variant}",
                {"repo": plan.repo, "commit": plan.commit, "variant": plan.variant},
                lambda context: {
                    "bytes": self.fetcher.fetch(target.record, listing, missing, source, context)
                },
                call=call,
                on_progress=on_progress,
            )
            moved = int(str(output["bytes"]))
            self.resolver.forget_reports()
            listing = self.resolver.listing(target)
        digests = {path: digest for path in paths if (digest := listing.by_path[path].sha256)}
        return self.fetcher.link(target.record, listing, digests, moved)

    def serve(
        self, target: Target, wish: Wish, how: How, call: Call, on_progress: ProgressCallback | None
    ) -> tuple[Lease, Provenance]:
        """An instance that answers as wished, fetched and loaded first if it has to be.

        A model that is loaded is taken again without planning anew: what fits may have changed,
        but it fitted.
        """
        place = InstanceKey.of((), how.runtime or "", how.device or "", how.options)
        asked = (target.record.id, target.commit, wish, place)
        ready = self._ready.get(asked)
        current = ready is not None and ready.target.report is target.report
        if ready is None or not current or not self.instances.holds(ready.key):
            ready = self._ready[asked] = self._prepare(target, wish, how, call, on_progress)
        lease = self.instances.acquire(
            ready.key, lambda: self._load(ready, how.options, call, on_progress), call
        )
        return lease, ready.provenance

    def _prepare(
        self, target: Target, wish: Wish, how: How, call: Call, on_progress: ProgressCallback | None
    ) -> "_Ready":
        plan = self.plan(target, wish, how.device, how.options)
        check_runnable(plan)
        if not all(file.sha256 for file in plan.files):
            # The source does not tell their hashes: they are known once the files are here.
            self.pull(target, plan, call=call, on_progress=on_progress)
            target = self.resolver.reread(target)
            plan = self.plan(target, wish, how.device, how.options)
        assert plan.runtime is not None
        digests = [str(file.sha256) for file in plan.files]
        key = InstanceKey.of(digests, plan.runtime, plan.device, how.options)
        return _Ready(target, plan, key, self.provenance(plan))

    def _load(
        self,
        ready: "_Ready",
        options: Mapping[str, Any],
        call: Call,
        on_progress: ProgressCallback | None,
    ) -> Instance:
        plan = ready.plan
        assert plan.runtime is not None
        folder = self.pull(ready.target, plan, call=call, on_progress=on_progress).path
        bundle = Bundle(plan.model, plan.choice, {part.name: folder for part in plan.components})
        device = choose_device(devices(), plan.device)
        return self.runtimes.load(plan.runtime).load(bundle, device, options, self.instances.parts)

    def provenance(self, plan: Plan) -> Provenance:
        """Which bytes an answer of this plan comes from."""
        assert plan.runtime is not None
        files = [WeightFile(repo=f.repo, path=f.path, sha256=f.sha256) for f in plan.files if f.sha256]
        return Provenance(
            repo=plan.repo,
            commit=plan.commit,
            model=plan.model.name,
            variant=plan.variant,
            runtime=plan.runtime,
            runtime_version=self.runtimes.load(plan.runtime).version(),
            device=plan.device,
            files=tuple(files),
        )


def check_runnable(plan: Plan) -> None:
    """Refuse a plan that cannot be carried out, saying what is in the way.

    Raises:
        RuntimeNotInstalled, RuntimeNotFound, DoesNotFit
    """
    if plan.runtime is None:
        why = "; ".join(plan.why) or "no runtime is known for it"
        install = plan.steps[0] if plan.steps and plan.steps[0].startswith("pip install") else ""
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
            f"{human_bytes(plan.memory_free)} free",
            hint="Take a smaller variant or a shorter context (options={'n_ctx': …}).",
            needed=plan.memory,
            free=plan.memory_free,
        )
