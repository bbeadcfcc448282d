"""What of a remote store is this host's: its copies, its snapshots, what is being received."""

from abc import ABC
from pathlib import Path

from modelhub.facts import StoreCapabilities
from modelhub.refs import Digest
from modelhub.store.base import Store
from modelhub.store.layout import LinkChoice
from modelhub.store.local import LocalStore
from modelhub.store.parts import Unfinished
from modelhub.store.upkeep import DAY, WEEK


class OnHost(Store, ABC):
    """A store that answers for its copies as the local store that holds them does."""

    _local: LocalStore

    @property
    def root(self) -> Path:
        return self._local.root

    @property
    def capabilities(self) -> StoreCapabilities:
        return self._local.capabilities

    @property
    def link_mode(self) -> LinkChoice:
        return self._local.link_mode

    def require_link_mode(self, mode: LinkChoice) -> None:
        self._local.require_link_mode(mode)

    def free(self) -> int | None:
        return self._local.free()

    def path(self, digest: Digest) -> Path:
        return self._local.path(digest)

    def remove_snapshot(self, path: str) -> bool:
        return self._local.remove_snapshot(path)

    def parts(self) -> tuple[Unfinished, ...]:
        return self._local.parts()

    def left_over(self, older_than: float = DAY, *, parts_older_than: float = WEEK) -> tuple[str, ...]:
        return self._local.left_over(older_than, parts_older_than=parts_older_than)
