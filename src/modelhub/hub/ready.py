"""Plans that were carried out, so that the next call that asks the same need not plan anew."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from modelhub.facts import Plan, Provenance, RepoRecord
from modelhub.hub.places import places
from modelhub.hub.resolve import Target
from modelhub.runtimes import InstanceKey

MOST = 256


@dataclass(frozen=True, slots=True)
class Ready:
    """A plan that can be carried out, and what follows from it."""

    target: Target
    plan: Plan
    key: InstanceKey
    provenance: Provenance


class ReadyPlans:
    """The plans that were used last, by what was asked. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plans: OrderedDict[Hashable, Ready] = OrderedDict()

    def get(self, asked: Hashable) -> Ready | None:
        """The plan for what is asked, if it is still kept."""
        with self._lock:
            ready = self._plans.get(asked)
            if ready is not None:
                self._plans.move_to_end(asked)
            return ready

    def put(self, asked: Hashable, ready: Ready) -> None:
        """Keep a plan; the one that was used longest ago may go for it."""
        with self._lock:
            self._plans[asked] = ready
            self._plans.move_to_end(asked)
            if len(self._plans) > MOST:
                self._plans.popitem(last=False)

    def of(self, record: RepoRecord) -> tuple[Ready, ...]:
        """The plans for a repository, at any commit, and those that take files from it."""
        with self._lock:
            return tuple(ready for ready in self._plans.values() if _takes_from(ready, record))

    def forget(self, target: Target) -> None:
        """Drop every plan for a repository at a commit."""
        place = (target.record.id, target.commit)
        with self._lock:
            for asked, ready in list(self._plans.items()):
                if (ready.target.record.id, ready.target.commit) == place:
                    del self._plans[asked]


def _takes_from(ready: Ready, record: RepoRecord) -> bool:
    target = ready.target
    return target.record.id == record.id or any(
        place.id.key == record.repo.key for place in places(target.report, ready.plan)
    )
