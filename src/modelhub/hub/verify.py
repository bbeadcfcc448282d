"""Hashes again what the store has of a repository."""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from modelhub.errors import ArtifactNotFound, IntegrityError
from modelhub.facts import (
    Call,
    FileState,
    Progress,
    ProgressCallback,
    RepoFile,
    RepoListing,
    Verification,
    VerifiedFile,
)
from modelhub.hub.resolve import Resolver, Target
from modelhub.planner import Wish, candidates
from modelhub.refs import Digest, ModelRef
from modelhub.registry.introspect import metadata_wanted
from modelhub.store import Store

log = logging.getLogger(__name__)

Named = tuple[RepoFile, Digest]


@dataclass(frozen=True, slots=True)
class Verifier:
    """Looks at the bytes that are here; asks no source."""

    resolver: Resolver
    store: Store

    def verify(
        self, ref: ModelRef, variant: str | None, call: Call, on_progress: ProgressCallback | None
    ) -> Verification:
        """Every file of the commit, or those of the variants that are named; see `Hub.verify`."""
        started = time.monotonic()
        target = self.resolver.known(ref)
        files = _asked_for(target, self.resolver.listing(target), variant)
        known = self.store.known(file.sha256 for file in files if file.sha256)
        here = [(file, file.sha256) for file in files if file.sha256 and file.sha256 in known]
        report = Verification(
            repo=target.report.repo,
            commit=target.commit,
            files=self._verified(here, call, _Meter(here, on_progress)),
            absent=len(files) - len(here),
        )
        log.info("repo_verified", extra=_figures(report, started))
        return report

    def _verified(self, here: Sequence[Named], call: Call, meter: "_Meter") -> tuple[VerifiedFile, ...]:
        """Bytes that the repository has under several names are read once."""
        hashed: dict[Digest, dict[str, Any]] = {}
        for file, digest in here:
            if digest not in hashed:
                meter.begin(file)
                hashed[digest] = self._hashed(digest, call, meter)
        meter.end()
        return tuple(
            VerifiedFile(path=file.path, size=file.size, sha256=digest, **hashed[digest])
            for file, digest in here
        )

    def _hashed(self, digest: Digest, call: Call, meter: "_Meter") -> dict[str, Any]:
        try:
            self.store.verify([digest], "full", on_bytes=meter.on_bytes, check=call.check)
        except ArtifactNotFound:
            return {"state": FileState.MISSING}
        except IntegrityError as error:
            found, kept = (error.details[name] for name in ("actual", "kept"))
            return {"state": FileState.DAMAGED, "found": found, "kept": kept}
        return {"state": FileState.OK}


class _Meter:
    """How far it is, in bytes: what was read of a file, and all of it when it is done with."""

    def __init__(self, here: Iterable[Named], show: ProgressCallback | None) -> None:
        self._total = sum({digest: file.size for file, digest in here}.values())
        self._show = show
        self._done = self._end = 0
        self._item = ""

    def begin(self, file: RepoFile) -> None:
        """The next file."""
        self._done, self._item = self._end, file.path
        self._end += file.size
        self.on_bytes(0)

    def on_bytes(self, count: int) -> None:
        """Some of it was read; a damaged one may be longer than it should be."""
        self._done = min(self._done + count, self._end)
        if self._show is not None:
            self._show(Progress(stage="verify", done=self._done, total=self._total, item=self._item))

    def end(self) -> None:
        """No more files."""
        self.on_bytes(self._end - self._done)


def _asked_for(target: Target, listing: RepoListing, variant: str | None) -> tuple[RepoFile, ...]:
    """All files; where variants are named, theirs, and the small ones that go with every variant."""
    if not target.tags and variant is None:
        return listing.files
    pairs = candidates(target.report, Wish(None, target.tags, variant), target.record.task_hints)
    own = target.report.repo
    paths = {file.path for _, chosen in pairs for part, file in chosen.files() if part.repo == own}
    paths |= {file.path for file in metadata_wanted(listing.files)}
    return tuple(file for file in listing.files if file.path in paths)


def _figures(report: Verification, started: float) -> dict[str, Any]:
    return {
        "model_repo_name": report.repo,
        "revision": report.commit,
        "damaged": len(report.damaged),
        "missing": len(report.missing),
        "duration_ms": round((time.monotonic() - started) * 1000),
    }
