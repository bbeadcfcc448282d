"""What a plan needs, fetched and loaded."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from modelhub.facts import Call, Plan, ProgressCallback, Snapshot
from modelhub.hub.code import CodeGate
from modelhub.hub.contents import ContentGate
from modelhub.hub.hindrances import check_room
from modelhub.hub.licenses import LicenseGate
from modelhub.hub.pickles import PickleGate
from modelhub.hub.places import Place, place_of, places
from modelhub.hub.pulling import Puller, whole
from modelhub.hub.quota import Quota
from modelhub.hub.ready import Ready
from modelhub.hub.resolve import Resolver, Target
from modelhub.planner import choose_device
from modelhub.refs import Digest
from modelhub.runtimes import Bundle, Instance, Instances, Runtimes, devices
from modelhub.runtimes.hosts import Hosts, Order
from modelhub.store import Level, LinkChoice


@dataclass(frozen=True, slots=True)
class Loading:
    """Carries plans out, as far as an instance."""

    resolver: Resolver
    puller: Puller
    gate: CodeGate
    licenses: LicenseGate
    runtimes: Runtimes
    instances: Instances
    hosts: Hosts
    quota: Quota
    pickles: PickleGate
    contents: ContentGate = field(default_factory=ContentGate)

    def pull(
        self,
        target: Target,
        plan: Plan,
        call: Call,
        on_progress: ProgressCallback | None = None,
        level: Level | None = None,
        mode: LinkChoice | None = None,
    ) -> Snapshot:
        """The plan's files, verified as `level` says, in a folder, linked as `mode` says.

        Raises:
            LicenseRefused: by the Hub's policy; nothing is fetched.
            StoreFull: there is not enough room for all of it; nothing is fetched.
            IntegrityError: a file is damaged, and no source gives it.
        """
        return whole(self._pull(target, plan, call, on_progress, level, mode))

    def _pull(
        self,
        target: Target,
        plan: Plan,
        call: Call,
        on_progress: ProgressCallback | None,
        level: Level | None = None,
        mode: LinkChoice | None = None,
    ) -> dict[Place, Snapshot]:
        """The folders with the plan's files, by repository, its own first."""
        if mode is not None:
            self.puller.fetcher.store.require_link_mode(mode)
        self.licenses.admit(target.report, plan)
        check_room(plan, self.puller.fetcher.store)
        keep = [file.sha256 for file in plan.files if file.sha256]
        self.quota.make_room(f"{plan.repo}:{plan.variant}", plan.fetch_bytes, keep)
        what = {"model": plan.model.name, "variant": plan.variant}
        pulled: dict[Place, Snapshot] = {}
        for place, paths in places(target.report, plan).items():
            if not pulled:
                pulled[place] = self.puller.pull(target, what, paths, call, on_progress, level, mode)
            else:
                pulled[place] = self._part(target, plan, place, what, call, on_progress, level, mode)
        return pulled

    def _part(
        self,
        target: Target,
        plan: Plan,
        place: Place,
        what: Mapping[str, str],
        call: Call,
        on_progress: ProgressCallback | None,
        level: Level | None,
        mode: LinkChoice | None,
    ) -> Snapshot:
        """The folder with the files that the model takes of another repository, which may have been purged:
        its files stay as long as the model needs them.
        """
        homes = {part.name: place_of(target.report, part) for part in plan.components}
        files = [file for file in plan.files if homes.get(file.component) == place]
        home = self.resolver.known_part(place)
        if home is None and (lent := self.puller.lend(place, files, call, on_progress, level, mode)):
            return lent
        home = home or self.resolver.part_of(place, call, on_progress)
        # Who pulls these files for another model, or of another, does other work.
        why = {**what, "for": target.report.repo}
        paths = [file.path for file in files]
        return self.puller.pull(home, why, paths, call, on_progress, level, mode)

    def load(
        self,
        ready: Ready,
        options: Mapping[str, Any],
        call: Call,
        on_progress: ProgressCallback | None,
        held: ExitStack,
    ) -> Instance:
        """An instance of a plan that can be carried out, its files fetched first.

        No purge takes its repository, or one that it builds on, until `held` ends.

        Raises:
            RepositoryNotFound: when it was purged since it was planned.
            LicenseRefused, StoreFull: as by `pull`.
            FormatError: for a file that is not what its name says; no engine has seen it.
        """
        plan = ready.plan
        assert plan.runtime is not None
        known = [file.sha256 for file in plan.files if file.sha256]
        what = f"loading {plan.repo}"
        hold = held.enter_context(self.puller.holds.hold(ready.target.record, what, known))
        pulled = self._pull(ready.target, plan, call, on_progress)
        if any(each.fetched_bytes for each in pulled.values()):
            hold.add(file.sha256 for each in pulled.values() for file in each.files)
        homes = {part.name: place_of(ready.target.report, part) for part in plan.components}
        roots = {name: pulled[place].path for name, place in homes.items() if place in pulled}
        self.contents.admit(plan, roots)
        self.pickles.scan(plan, roots)
        allowed = self.gate.admit(ready.target, plan, pulled)
        trusted = frozenset(map(Digest, ready.key.trusted))
        bundle = Bundle(plan.model, plan.choice, roots, code_allowed=allowed, trusted=trusted)
        runtime = self.runtimes.load(plan.runtime)
        device = choose_device(devices(), plan.device)
        order = Order(runtime, self.runtimes.origin(runtime.name), bundle, device, options)
        instance = self.hosts.choose(runtime, bundle).load(order, self.instances.parts, call)
        if allowed:
            self.gate.running.add(ready.target, instance)
        return instance
