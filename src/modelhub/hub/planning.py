"""What would run: the offers of the runtimes here, and the plan that is made of them."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelhub.facts import Device, MemoryNeed, Model, PassedBy, Plan, RuntimeView, Variant
from modelhub.hub.code import CodeGate
from modelhub.hub.licenses import LicenseGate
from modelhub.hub.pickles import PickleGate
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
from modelhub.refs import Digest
from modelhub.runtimes import InstanceKey, Instances, Runtimes, Support, devices
from modelhub.runtimes.bound import cannot_bind
from modelhub.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Planning:
    """Plans with what is known and installed here. Opens no socket."""

    resolver: Resolver
    store: Store
    gate: CodeGate
    licenses: LicenseGate
    runtimes: Runtimes
    instances: Instances
    pickles: PickleGate

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
        trust: frozenset[Digest] = frozenset(),
    ) -> Plan:
        """What would run. Opens no socket.

        A `whole` plan has every component, even those that the runtime does not use.

        Raises:
            InvalidInput: for a `trust` in what is no pickle of the chosen variant.
        """
        self.check_names(wish.runtime, None)
        where = choose_device(devices(), device)
        companions = self.resolver.companions(target)
        files = [file for model in target.report.models for v in model.variants for _, file in v.files()]
        present = self.store.present({f.sha256 for f in (*files, *companions) if f.sha256})
        preferences = Preferences.of(target.record)
        pairs = candidates(target.report, wish, preferences.tasks)
        plan = make_plan(
            target.report,
            wish,
            list(self._offers(pairs, wish, where, options, whole=whole, trust=trust)),
            where,
            present.__contains__,
            companions,
            preferences=preferences,
            blocked=dict(self._blocked(target, pairs)),
            room=Room(self.store.free(), self.store.link_mode),
        )
        if plan.runtime is not None:
            self.runtimes.load(plan.runtime).check_options(options)
        if (refused := self.gate.refusal(target, plan)) is not None:
            update = {"why": (*plan.why, refused.message), "steps": (refused.hint, *plan.steps)}
            plan = plan.model_copy(update=update)
        return self.pickles.marked(self.licenses.marked(target.report, plan), trust)

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
        trust: frozenset[Digest],
    ) -> Iterator[Offer]:
        for view in self.runtimes.views():
            if view.tasks:  # else it is broken, and says so where runtimes are listed
                unused = () if whole else view.unused
                for model, variant in pairs:
                    used = variant.without(unused)
                    yield self._offer(wish, view, model, used, device, options, trust)

    def _offer(
        self,
        wish: Wish,
        view: RuntimeView,
        model: Model,
        variant: Variant,
        device: Device,
        options: Mapping[str, Any],
        trust: frozenset[Digest],
    ) -> Offer:
        digests = [str(file.sha256) for _, file in variant.files()]
        loaded = self.instances.holds(InstanceKey.of(digests, view.name, device.name, options, trust))
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
