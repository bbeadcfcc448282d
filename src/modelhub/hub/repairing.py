"""Brings back what turned out to be damaged: from a source that has it, into all folders that had it."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from modelhub.errors import (
    Cancelled,
    DeadlineExceeded,
    HubClosed,
    IntegrityError,
    ModelHubError,
    NotFound,
    StoreError,
)
from modelhub.facts import Call, ProgressCallback
from modelhub.hub.fetching import Fetching
from modelhub.jobs import Damage, Holds, damage
from modelhub.refs import Digest
from modelhub.registry import Registry, ServedFile, StoreKey
from modelhub.store import Store

log = logging.getLogger(__name__)

_NOT_THE_SOURCE = (Cancelled, DeadlineExceeded, HubClosed, StoreError)
"""What another source would not change."""


@dataclass(frozen=True, slots=True)
class Repairer:
    """Repairs one store. Whatever the store says is damaged is in its quarantine already."""

    registry: Registry
    fetching: Fetching
    store: Store
    place: StoreKey
    holds: Holds

    def tell(self, error: IntegrityError) -> tuple[Damage, ...]:
        """What an error of the store says is damaged, each logged with the repositories that it served."""
        return tuple(damage(self.registry, error))

    def repair(
        self,
        error: IntegrityError,
        call: Call,
        on_progress: ProgressCallback | None = None,
        *,
        home: int | None = None,
    ) -> int:
        """Fetch anew what an error of the store says is damaged: the bytes that moved.

        The repository `home` is asked first, by its number, and then others that have the same bytes.
        Folders that had it as a hard link have it again.

        Raises:
            IntegrityError: when nobody gives it; it names the file, its hash, the one that it had, where
                it lies now, the repositories that have it, and what to do.
        """
        return sum(self._repair(found, call, on_progress, home) for found in self.tell(error))

    def _repair(
        self, found: Damage, call: Call, on_progress: ProgressCallback | None, home: int | None
    ) -> int:
        started = time.monotonic()
        moved = self._fetch(found, call, on_progress, home)
        folders = list(self._relinked(found.digest, call))
        fields = {
            "hash": found.digest,
            "bytes": moved,
            "repositories": list(found.repos),
            "folders": len(folders),
            "duration_ms": round((time.monotonic() - started) * 1000),
        }
        log.info("artifact_repaired", extra=fields)
        return moved

    def _fetch(
        self, found: Damage, call: Call, on_progress: ProgressCallback | None, home: int | None
    ) -> int:
        files = self._files(found.digest, home)
        why: ModelHubError | None = None
        for file in files:
            try:
                return self._from(file, found.digest, call, on_progress)
            except _NOT_THE_SOURCE:
                raise
            except ModelHubError as error:
                fields = {"model_repo_name": file.repo, "hash": found.digest, "error_type": error.code}
                log.warning("artifact_not_repaired", extra=fields)
                why = why or error
        raise _lost(found, files, why) from why

    def _files(self, digest: Digest, home: int | None) -> tuple[ServedFile, ...]:
        """One file of each repository, that of `home` first."""
        with self.registry.read() as tx:
            listed = tx.served.listed(digest)
        once = {file.record_id: file for file in reversed(listed)}
        order = dict.fromkeys(file.record_id for file in listed)
        return tuple(once[number] for number in sorted(order, key=lambda number: number != home))

    def _from(
        self, file: ServedFile, digest: Digest, call: Call, on_progress: ProgressCallback | None
    ) -> int:
        if self.store.present([digest]):
            return 0  # somebody else has repaired it
        with self.registry.read() as tx:
            record = tx.repos.get(file.record_id)
            listing = tx.revisions.listing(file.record_id, file.commit)
        if listing is None:
            raise NotFound(f"{file.repo} at {file.commit[:12]} was purged meanwhile")
        wanted = [listing.by_path[file.path]]
        return self.fetching.fetch(record, listing, {"repair": digest}, wanted, call, on_progress)

    def _relinked(self, digest: Digest, call: Call) -> Iterator[str]:
        """The folders that have the blob again; one that cannot be mended now is at its next use."""
        with self.registry.read() as tx:
            linked = tx.served.linked(digest, self.place)
        for (number, repo, commit), files in groupby(
            linked, key=lambda file: (file.record_id, file.repo, file.commit)
        ):
            vendor, _, name = repo.rpartition("/")
            wanted = {file.path: digest for file in files}
            try:
                with self.registry.read() as tx:
                    record = tx.repos.get(number)
                with self.holds.hold(record, f"repairing {repo}", [digest]):
                    self.store.link(vendor, name, commit, wanted, check=call.check)
            except (NotFound, StoreError, IntegrityError) as error:
                fields = {"model_repo_name": repo, "hash": digest, "error_type": error.code}
                log.warning("snapshot_not_relinked", extra=fields)
            else:
                yield f"{repo}@{commit}"


def _lost(found: Damage, files: tuple[ServedFile, ...], why: ModelHubError | None) -> IntegrityError:
    name = files[0].path if files else f"the blob {found.digest.short}"
    served = f"It served {', '.join(found.repos)}" if found.repos else "No known repository has it"
    reason = why.message if why else "nobody is known who has these bytes"
    hint = why.hint if why else "Pull a repository that has them."
    return IntegrityError(
        f"{name}: its sha256 should be {found.digest}, but it is {found.actual}; it was moved to "
        f"{found.kept}. {served}, and cannot be fetched anew: {reason}",
        hint=f"{hint} Then ask again: only what is damaged is fetched.".strip(),
        path=name,
        expected=found.digest,
        actual=found.actual,
        kept=found.kept,
        repositories=list(found.repos),
        digests=[found.digest],
        damaged=[{"sha256": found.digest, "actual": found.actual, "kept": found.kept}],
    )
