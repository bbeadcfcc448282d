"""Brings a variant's files into the store and links them into a folder."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from modelhub.errors import FileNotInRepository
from modelhub.facts import RepoFile, RepoListing, RepoRecord, Snapshot
from modelhub.jobs.engine import JobContext
from modelhub.refs import Digest, RepoPath
from modelhub.registry import Registry
from modelhub.sources.base import Source
from modelhub.store import Expected, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Moves bytes from a source into the store; what is there already does not move."""

    registry: Registry
    store: Store
    _one_at_a_time: dict[str, threading.Lock] = field(
        default_factory=lambda: defaultdict(threading.Lock)
    )

    def missing(self, listing: RepoListing, paths: Iterable[str]) -> tuple[RepoFile, ...]:
        """Those of `paths` whose bytes are not in the store."""
        files = [_file(listing, path) for path in paths]
        present = self.store.present(file.sha256 for file in files if file.sha256)
        return tuple(file for file in files if file.sha256 not in present)

    def fetch(
        self,
        record: RepoRecord,
        listing: RepoListing,
        files: Iterable[RepoFile],
        source: Source,
        context: JobContext,
    ) -> int:
        """Fetch `files`, one after another; gives the bytes that moved.

        Each file is in the registry as soon as it is in the store, so that an interrupted fetch
        goes on where it ended.
        """
        files = tuple(files)
        total = sum(file.size for file in files)
        done = moved = 0
        for file in files:
            with self._one_at_a_time[file.sha256 or f"{listing.repo.id}@{listing.commit}/{file.path}"]:
                if file.sha256 is None or file.sha256 not in self.store.present([file.sha256]):
                    digest = self._one(listing, file, source, context, (done, total))
                    with self.registry.begin() as tx:
                        tx.revisions.set_digests(record.id, listing.commit, {file.path: digest})
                    moved += file.size
            done += file.size
        context.progress("fetch", total, total)
        return moved

    def _one(
        self,
        listing: RepoListing,
        file: RepoFile,
        source: Source,
        context: JobContext,
        span: tuple[int, int],
    ) -> Digest:
        started, (done, total) = time.monotonic(), span
        fields = {"model_repo_name": listing.repo.id, "revision": listing.commit, "file_path": file.path}
        log.info("artifact_download_start", extra=fields)
        seen = 0

        def on_bytes(count: int) -> None:
            nonlocal seen
            seen += count
            context.progress("fetch", done + seen, total, file.path)

        expect = Expected(sha256=file.sha256, size=file.size, git_oid=file.git_oid, name=file.path)
        with source.open(listing, file) as stream:
            record = self.store.put(stream, expect=expect, on_bytes=on_bytes)
        spent = round((time.monotonic() - started) * 1000)
        extra = fields | {"hash": record.digest, "duration_ms": spent}
        log.info("artifact_download_finish", extra=extra)
        return record.digest

    def link(
        self, record: RepoRecord, listing: RepoListing, digests: Mapping[RepoPath, Digest], moved: int
    ) -> Snapshot:
        """Prove the files and link them into the snapshot folder of this commit."""
        repo, commit = listing.repo, listing.commit
        linked = self.store.link(repo.vendor, repo.name, commit, digests)
        relative = linked.path.relative_to(self.store.root).as_posix()
        with self.registry.begin() as tx:
            tx.snapshots.save(record.id, commit, relative, linked.files, store_uri=self.store.uri)
        reused = sum(file.size for file in linked.files) - moved
        return linked.model_copy(update={"fetched_bytes": moved, "reused_bytes": max(0, reused)})


def _file(listing: RepoListing, path: str) -> RepoFile:
    if (file := listing.by_path.get(path)) is None:
        raise FileNotInRepository(f"{listing.repo.id} at {listing.commit[:12]} has no file {path!r}")
    return file
