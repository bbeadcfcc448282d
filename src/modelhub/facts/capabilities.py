"""What the file system under a store can do."""

from modelhub.facts.base import Fact


class StoreCapabilities(Fact):
    """Found out by trying, once for each store that is opened.

    The links are those from where blobs lie to where snapshots do. `locks` is whether a lock keeps other
    processes of this host out; without them nothing is damaged, but some work may be done twice.
    `verity` is whether the kernel can seal a file so that nobody changes it (fs-verity).
    """

    hardlink: bool
    symlink: bool
    reflink: bool
    locks: bool
    verity: bool

    def __str__(self) -> str:
        can = [name for name in type(self).model_fields if getattr(self, name)]
        cannot = [name for name in type(self).model_fields if not getattr(self, name)]
        return ", ".join(can or ["nothing but copies"]) + (f"; no {', '.join(cannot)}" if cannot else "")
