"""What else can be said of a store when it is opened."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from modelhub.refs import Digest
from modelhub.store.layout import LinkChoice


def _nothing() -> Collection[Digest]:
    return ()


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How this host uses a store.

    Of a store of objects: `cache` is the folder of this host's verified copies, `cache_bytes` what
    they may take (`None`: until their disk is full), `endpoint` the address of a server that is
    not Amazon's, and `leased()` gives the blobs that must stay here, whatever they take.

    `link_mode` is how large files come into snapshots, and `fs_verity` whether the kernel is asked to seal
    each blob that is stored, where the file system can.
    """

    cache: Path | None = None
    cache_bytes: int | None = None
    endpoint: str | None = None
    leased: Callable[[], Collection[Digest]] = _nothing
    link_mode: LinkChoice = "auto"
    fs_verity: bool = True


PLAIN = StoreOptions()
