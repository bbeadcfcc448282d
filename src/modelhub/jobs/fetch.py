"""Brings a variant's files into the store and links them into a folder."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from modelhub.errors import FileNotInRepository, RepositoryNotFound, RevisionNotFound
from modelhub.facts import (
    Call,
    Progress,
    ProgressCallback,
    RepoFile,
    RepoId,
    RepoListing,
    RepoRecord,
    Snapshot,
)
from modelhub.jobs.context import JobContext
from modelhub.jobs.download import Origin, Shared, Transfer
from modelhub.refs import Digest, RepoPath
from modelhub.registry import FetchClaims, Registry, StoreKey
from modelhub.sources.base import Source
from modelhub.store import Level, LinkChoice, Store

log = logging.getLogger(__name__)


class Fetcher:
    """Moves bytes from a source into the store; what is there already does not move.

    `place` is the store as the registry knows it.
    """

    def __init__(self, registry: Registry, store: Store, place: StoreKey) -> None:
        self.registry = registry
        self.store = store
        self.place = place
        self._shared = Shared(store, FetchClaims(registry, place))

    def missing(self, listing: RepoListing, paths: Iterable[str]) -> tuple[RepoFile, ...]:
        """Those of `paths` whose bytes are not in the store."""
        known = listing.by_path
        files = [_file(listing, known, path) for path in paths]
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
        """Fetch `files`, many at once; gives the bytes that moved.

        Each file is in the registry as soon as it is in the store, so that an interrupted fetch
        goes on where it ended, also within a file.
        """

        def note(digests: Mapping[str, Digest]) -> None:
            with self.registry.begin() as tx:
                tx.revisions.set_digests(record.id, listing.commit, digests)

        files = tuple(files)
        moved = Transfer(self._shared, Origin(source, listing, context.job.id), note, context).run(files)
        total = sum(file.size for file in files)
        context.progress("fetch", total, total)
        return moved

    def link(
        self,
        repo: RepoId,
        commit: str,
        digests: Mapping[RepoPath, Digest],
        call: Call,
        on_progress: ProgressCallback | None,
        level: Level = "proof",
        mode: LinkChoice | None = None,
    ) -> Snapshot:
        """Prove the files, as carefully as `level` says, and link them into the snapshot folder of this commit.

        A file without a proof that holds is hashed, which shows as the stage `verify`.
        """
        hashed = 0

        def on_bytes(count: int) -> None:
            nonlocal hashed
            hashed += count
            if on_progress is not None:
                on_progress(Progress(stage="verify", done=hashed))

        return self.store.link(
            repo.vendor,
            repo.name,
            commit,
            digests,
            level=level,
            link_mode=mode,
            on_bytes=on_bytes,
            check=call.check,
        )

    def announce(self, record: RepoRecord, listing: RepoListing) -> None:
        """Write the folder of a commit down before it is made: a purge finds it, whoever dies.

        Raises:
            RepositoryNotFound: when it was purged meanwhile.
        """
        with self.registry.read() as tx:
            if tx.snapshots.find(record.id, listing.commit, store=self.place) is not None:
                return
        path = self.store.snapshot_path(listing.repo.vendor, listing.repo.name, listing.commit)
        with _purged(listing.repo.id), self.registry.begin() as tx:
            tx.snapshots.save(record.id, listing.commit, path, (), store=self.place)

    def remember(self, record: RepoRecord, linked: Snapshot) -> None:
        """Note which files a commit's folder holds; it goes if its repository did.

        Raises:
            RepositoryNotFound: when it was purged meanwhile.
        """
        try:
            with _purged(record.repo.id):
                self._remember(record, linked)
        except RepositoryNotFound:
            self._undo(linked)
            raise

    def _undo(self, linked: Snapshot) -> None:
        """Remove a folder that nobody has: its purge did not wait for who stood still for too long."""
        path = self._relative(linked)
        with self.registry.read() as tx:
            taken = tx.removals.has_snapshot(path, self.place)
        if not taken:
            self.store.remove_snapshot(path)

    def _relative(self, linked: Snapshot) -> str:
        return linked.path.relative_to(self.store.root).as_posix()

    def _remember(self, record: RepoRecord, linked: Snapshot) -> None:
        with self.registry.read() as tx:
            before = tx.snapshots.find(record.id, linked.commit, store=self.place)
        if before is None or not set(linked.files) <= set(before.files):
            relative = self._relative(linked)
            with self.registry.begin() as tx:
                tx.snapshots.save(record.id, linked.commit, relative, linked.files, store=self.place)


def _file(listing: RepoListing, known: Mapping[str, RepoFile], path: str) -> RepoFile:
    if (file := known.get(path)) is None:
        raise FileNotInRepository(f"{listing.repo.id} at {listing.commit[:12]} has no file {path!r}")
    return file


@contextmanager
def _purged(name: str) -> Iterator[None]:
    """A commit that is not known any more was purged."""
    try:
        yield
    except RevisionNotFound as error:
        raise RepositoryNotFound(
            f"{name} was purged meanwhile", hint="Ask for it again.", field="model"
        ) from error
