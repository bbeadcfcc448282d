"""How a store came, or would come, to a new place."""

from collections.abc import Iterable
from typing import Any

from modelhub.facts.base import Fact, human_bytes
from modelhub.refs import Digest


class StoreMove(Fact):
    """A move of a store from the URI `source` to the URI `target`; with `dry_run` what it would do.

    `here` were in the new place already, `linked` have a second name there, `copied` were copied and hashed:
    blobs, with their bytes in the `…_bytes`. `lost` are blobs that are gone or hold other bytes: they are
    missing now, and the next pull fetches them. `copied_files_bytes` is what snapshots take beside the blobs.
    `kept_bytes` is what the old place still has, without what it shares with the new one by links.
    """

    source: str
    target: str
    dry_run: bool = False
    here: int = 0
    here_bytes: int = 0
    linked: int = 0
    linked_bytes: int = 0
    copied: int = 0
    copied_bytes: int = 0
    copied_files_bytes: int = 0
    snapshots: int = 0
    lost: tuple[Digest, ...] = ()
    kept_bytes: int = 0
    deleted: bool = False

    def _brief(self) -> Iterable[tuple[str, Any]]:
        counts = {"linked": self.linked, "copied": self.copied, "here": self.here}
        return {"source": self.source, "target": self.target, **counts, "lost": self.lost}.items()

    def __str__(self) -> str:
        would = "would move" if self.dry_run else "moved"
        ways = (
            f"{self.linked:,} blobs by hard link ({human_bytes(self.linked_bytes)})",
            f"{self.copied:,} copied ({human_bytes(self.copied_bytes)})",
            f"{self.here:,} there already ({human_bytes(self.here_bytes)})",
            f"{self.snapshots:,} snapshots linked anew, with {human_bytes(self.copied_files_bytes)} of copies",
        )
        lines = [f"{would} {self.source} to {self.target}", *(f"  {way}" for way in ways)]
        if self.lost:
            lines.append(f"  {len(self.lost):,} gone or damaged; the next pull fetches them")
        if not self.dry_run:
            lines.append(f"Set MODELHUB_STORE_URI={self.target}, or give store={self.target!r}.")
            lines.append(self._old())
        return "\n".join(lines)

    def _old(self) -> str:
        if self.deleted:
            return f"{self.source} was deleted."
        left = f"{human_bytes(self.kept_bytes)} of its own"
        return f"{self.source} is kept, with {left}; move again with --delete-old, from the new place."
