"""Reads a repository's metadata: its listing, its small files, its headers. No weights."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha1
from importlib.metadata import version

from modelhub.errors import (
    ArtifactNotFound,
    Cancelled,
    DeadlineExceeded,
    IntegrityError,
    ModelHubError,
)
from modelhub.facts import RepoFile, RepoId, RepoListing, RepoRecord, SyncStatus
from modelhub.jobs.context import JobContext
from modelhub.jobs.damage import damage
from modelhub.jobs.download.origin import expected
from modelhub.jobs.headers import read_headers, refuse_damage
from modelhub.jobs.references import bound
from modelhub.refs import Digest, ModelRef
from modelhub.registry import Registry, Transaction
from modelhub.registry.introspect import (
    FAMILIES,
    READER,
    Family,
    Findings,
    Introspectors,
    classify,
    files_wanted,
    find_introspectors,
    introspect,
)
from modelhub.registry.introspect.files import MAX_FILE
from modelhub.registry.introspect.guarded import is_broken
from modelhub.registry.introspect.recipes import RecipeSet, built_in
from modelhub.sources.base import Source
from modelhub.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Syncer:
    """Brings what the registry knows of a repository up to what its source says."""

    registry: Registry
    store: Store
    introspectors: Introspectors = field(default_factory=find_introspectors)
    recipes: Callable[[], RecipeSet] = built_in

    @property
    def families(self) -> tuple[Family, ...]:
        """Modelhub's own, and those of plugins."""
        return (*FAMILIES, *self.introspectors.families())

    def sync(
        self, ref: ModelRef, source: Source, context: JobContext, record: RepoRecord | None = None
    ) -> tuple[RepoRecord, str]:
        """Read `ref` from `source`; gives its record and the commit that it means now.

        Everything is written in one transaction at the end, so a sync that fails leaves the
        registry as it was, but for the repository's visible `error` state.
        """
        started = time.monotonic()
        self._note(record, SyncStatus.SYNCING)
        try:
            record, listing = self._sync(ref, source, context)
        except BaseException as error:
            self._note_failure(record, error)
            raise
        log.info(
            "repo_synced",
            extra={
                "model_repo_name": listing.repo.id,
                "revision": listing.commit,
                "job_id": context.job.id,
                "duration_ms": round((time.monotonic() - started) * 1000),
            },
        )
        return record, listing.commit

    def distinct(self, listing: RepoListing) -> RepoListing:
        """Folders of one name in different places are different repositories, told apart by a mark."""
        repo, uri = listing.repo, listing.source_uri
        if repo.source != "local":
            return listing
        with self.registry.read() as tx:
            mine = tx.repos.find_by_uri(repo.source, uri) or tx.repos.find_by_uri(
                repo.source, uri, forgotten=True
            )
            # A forgotten one keeps its name, for when it comes back.
            namesakes = [
                other
                for forgotten in (False, True)
                for other in tx.repos.find(repo.name, repo.vendor, repo.source, forgotten=forgotten)
            ]
        if mine is not None:
            repo = mine.repo
        elif any(other.source_uri != uri for other in namesakes):
            mark = sha1(uri.encode(), usedforsecurity=False).hexdigest()[:8]
            repo = repo.model_copy(update={"name": f"{repo.name}-{mark}"})
        return listing.model_copy(update={"repo": repo})

    def _sync(
        self, ref: ModelRef, source: Source, context: JobContext
    ) -> tuple[RepoRecord, RepoListing]:
        context.progress("listing", 0, item=ref.id, unit="files")
        listing = self.distinct(_classified(source.describe_known(ref, self._listed)))
        recipes = self.recipes()
        reader = self._reader(recipes)
        known = self._is_read(listing, reader)
        read = None if known else self._read(source, listing, context, recipes)
        with self.registry.begin() as tx:
            record = tx.repos.register(
                listing.repo, source_uri=listing.source_uri, default_branch=listing.default_branch
            )
            tx.revisions.save(record.id, listing)
            if read is not None:
                digests, found = read
                tx.revisions.set_digests(record.id, listing.commit, digests)
                found = bound(tx, listing.repo, listing.commit, found)
                tx.models.save(
                    record.id,
                    listing.commit,
                    found.models,
                    found.evidence,
                    found.warnings,
                    # What a broken plugin did not find is looked for again.
                    reader=None if is_broken(found) else reader,
                )
            tx.repos.set_status(record.id, SyncStatus.COMPLETED)
        return record, listing

    def _read(
        self, source: Source, listing: RepoListing, context: JobContext, recipes: RecipeSet
    ) -> tuple[Mapping[str, Digest], Findings]:
        """The digests of its small files, and what is in the repository."""
        digests = self._metadata(source, listing, context)
        files = {
            path: self._content(source, listing, listing.by_path[path], digest, context)
            for path, digest in digests.items()
        }
        families = self.families
        headers = read_headers(source, listing, context, families, recipes)
        metadata = replace(headers, files=files)
        findings = introspect(listing, metadata, families, recipes)
        refuse_damage(findings, metadata)
        return digests, findings

    def _reader(self, recipes: RecipeSet) -> str:
        """A mark of how repositories are read: one that reads otherwise has another."""
        return f"{version('modelhub')}:{READER}:{self.introspectors.digest()}:{recipes.digest}"

    def _is_read(self, listing: RepoListing, reader: str) -> bool:
        """Whether reading this commit would find what is known already: it cannot have changed."""
        with self.registry.read() as tx:
            return any(
                tx.revisions.reader(record.id, listing) == reader
                for record in _records(tx, listing.repo)
            )

    def _listed(self, repo: RepoId, commit: str) -> RepoListing | None:
        with self.registry.read() as tx:
            records = _records(tx, repo)
            return tx.revisions.listing(records[0].id, commit) if records else None

    def _metadata(
        self, source: Source, listing: RepoListing, context: JobContext
    ) -> Mapping[str, Digest]:
        """Store the small files that describe the repository; what is stored already is not read."""
        wanted = files_wanted(listing, self.families)
        total = sum(file.size for file in wanted)
        known = self._known(listing, wanted)
        done = 0
        for file in wanted:
            if file.path not in known:
                context.progress("metadata", done, total, file.path)
                known[file.path] = self._fetch(source, listing, file, context)
            done += file.size
        context.progress("metadata", total, total)
        return known

    def _content(
        self,
        source: Source,
        listing: RepoListing,
        file: RepoFile,
        digest: Digest,
        context: JobContext,
    ) -> bytes:
        """What a small file says; fetched once more when the store has it damaged, or not any more."""
        try:
            return self.store.read(digest, MAX_FILE)
        except ArtifactNotFound:
            log.info("artifact_gone", extra={"model_repo_name": listing.repo.id, "hash": digest})
        except IntegrityError as error:
            for found in damage(self.registry, error):
                log.info("artifact_repairing", extra={"hash": found.digest, "file_path": file.path})
        self._fetch(source, listing, file, context)
        return self.store.read(digest, MAX_FILE)

    def _known(self, listing: RepoListing, wanted: tuple[RepoFile, ...]) -> dict[str, Digest]:
        """Those of `wanted` that the store holds, by what an earlier sync of this commit learnt."""
        before = self._listed(listing.repo, listing.commit)
        paths = {file.path for file in wanted}
        learnt = {
            f.path: f.sha256 for f in (before.files if before else ()) if f.path in paths and f.sha256
        }
        present = self.store.present(learnt.values())
        return {path: digest for path, digest in learnt.items() if digest in present}

    def _fetch(
        self, source: Source, listing: RepoListing, file: RepoFile, context: JobContext
    ) -> Digest:
        with source.open(listing, file) as stream:
            return self.store.put(stream, expect=expected(file), check=context.check).digest

    def _note(
        self, record: RepoRecord | None, status: SyncStatus, error: ModelHubError | None = None
    ) -> None:
        if record is not None:
            with self.registry.begin() as tx:
                tx.repos.set_status(record.id, status, error.to_dict() if error else None)

    def _note_failure(self, record: RepoRecord | None, error: BaseException) -> None:
        """A sync that failed says so; one that was stopped leaves the state that it found."""
        if isinstance(error, ModelHubError) and not isinstance(error, Cancelled | DeadlineExceeded):
            self._note(record, SyncStatus.ERROR, error)
        elif record is not None:
            self._note(record, record.sync_status)


def _records(tx: Transaction, repo: RepoId) -> tuple[RepoRecord, ...]:
    return tx.repos.find(repo.name, repo.vendor, repo.source)


def _classified(listing: RepoListing) -> RepoListing:
    files = tuple(file.model_copy(update={"kind": classify(file.path)}) for file in listing.files)
    return listing.model_copy(update={"files": files})
