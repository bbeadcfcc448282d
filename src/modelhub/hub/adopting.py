"""Takes what is in a cache of huggingface_hub into the store, so that it need not be fetched."""

import logging
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelhub.errors import (
    AccessDenied,
    IntegrityError,
    InvalidInput,
    RepositoryNotFound,
    RevisionNotFound,
)
from modelhub.facts import (
    AdoptedCommit,
    Adoption,
    Call,
    Progress,
    ProgressCallback,
    RejectedFile,
    RepoId,
    RepoListing,
    RepoRecord,
)
from modelhub.hub.resolve import Resolver
from modelhub.refs import Digest, ModelRef, RepoPath
from modelhub.registry import Registry
from modelhub.sources.hf_cache import CachedCommit, CachedFile, cached_commits
from modelhub.store import AdoptMode, Expected, Store, known_mode

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CacheAdopter:
    """Hashes every file before it is a blob; the cache stays as it is."""

    registry: Registry
    resolver: Resolver
    store: Store

    def adopt(self, cache: Path, mode: AdoptMode, call: Call, show: ProgressCallback | None) -> Adoption:
        """See `Hub.adopt_hf_cache`."""
        known_mode(mode)
        started = time.monotonic()
        try:
            root = cache.resolve(strict=True)
            found = tuple(cached_commits(root))
            trusted = _is_ours(root)
        except OSError as error:
            raise InvalidInput(
                f"{str(cache)!r:.300} cannot be read as a cache: {error.strerror}",
                hint="Name the folder that has models--org--name folders, or set HF_HUB_CACHE.",
                field="path",
            ) from error
        run = _Run(self, root, mode, trusted, call, show, sum(_size(one) for one in found))
        commits = tuple(filter(None, map(run.commit, found)))
        report = Adoption(
            cache=str(root),
            store=self.store.uri,
            commits=commits,
            bytes=run.moved,
            rejected=tuple(run.rejected),
        )
        figures = {"files": report.adopted, "bytes": report.bytes, "rejected": len(report.rejected)}
        fields = figures | {"duration_ms": round((time.monotonic() - started) * 1000)}
        log.info("hf_cache_adopted", extra=fields)
        return report

    def known(self, repo: RepoId, commit: str) -> tuple[RepoRecord | None, RepoListing | None]:
        """The repository if it is registered, and what the commit holds if that was synced."""
        record = self.resolver.find(_ref(repo))
        if record is None:
            return None, None
        with self.registry.read() as tx:
            return record, tx.revisions.listing(record.id, commit)

    def note(self, record: RepoRecord, commit: str, digests: Mapping[str, Digest]) -> bool:
        """Write down which bytes files of a synced commit have; whether it is there still."""
        try:
            with self.registry.begin() as tx:
                tx.revisions.set_digests(record.id, commit, digests)
        except (RepositoryNotFound, RevisionNotFound):
            return False  # it was purged meanwhile
        self.resolver.forget_reports()
        return True

    def register(self, repo: RepoId) -> None:
        """Let the repository be listed, so that somebody syncs it; not one that was forgotten."""
        if self.resolver.find(_ref(repo), forgotten=True) is None:
            self.resolver.register(_ref(repo))


@dataclass
class _Run:
    """One adoption."""

    home: CacheAdopter
    root: Path
    mode: AdoptMode
    trusted: bool
    call: Call
    show: ProgressCallback | None
    total: int
    done: int = 0
    moved: int = 0
    came: int = 0
    rejected: list[RejectedFile] = field(default_factory=list)
    seen: dict[tuple[RepoPath, Expected], Digest] = field(default_factory=dict)

    def commit(self, cached: CachedCommit) -> AdoptedCommit | None:
        """Take what lies there of one commit; `None` when nothing of it is in the store now."""
        self.rejected += [RejectedFile(path=one.place, reason=one.reason) for one in cached.rejected]
        record, listing = self.home.known(cached.repo, cached.commit)
        digests: dict[str, Digest] = {}
        moved, came = self.moved, self.came
        for file in cached.files:
            if digest := self._file(file, listing):
                digests[file.path] = digest
        if not digests:
            return None
        adopted = self.came - came
        known = (
            listing is not None and record is not None and self.home.note(record, cached.commit, digests)
        )
        if record is None:
            self.home.register(cached.repo)
        return AdoptedCommit(
            repo=cached.repo.id,
            commit=cached.commit,
            adopted=adopted,
            present=len(digests) - adopted,
            bytes=self.moved - moved,
            known=known,
        )

    def _file(self, file: CachedFile, listing: RepoListing | None) -> Digest | None:
        """The digest of a file that the store has now; `None` when it was rejected."""
        self.call.check()
        begun = self.done
        try:
            return self._taken(file, _expected(file, listing))
        except (IntegrityError, InvalidInput, AccessDenied) as error:
            self.rejected.append(RejectedFile(path=file.place, reason=error.message))
            return None
        finally:
            self._report(begun + file.size - self.done, file)

    def _taken(self, file: CachedFile, expect: Expected) -> Digest:
        store, key = self.home.store, (file.place, Expected(expect.sha256, expect.size, expect.git_oid))
        if key in self.seen:
            return self.seen[key]
        if expect.sha256 is not None and store.present([expect.sha256]):
            return expect.sha256
        record = store.adopt(
            file.place,
            expect,
            root=self.root,
            mode=self.mode,
            trusted=self.trusted,
            on_bytes=lambda count: self._report(count, file),
            check=self.call.check,
        )
        self.moved += record.size
        self.came += 1
        self.seen[key] = record.digest
        return record.digest

    def _report(self, count: int, file: CachedFile) -> None:
        self.done += count
        if self.show:
            self.show(Progress(stage="adopt", done=self.done, total=self.total, item=file.path))


def _expected(file: CachedFile, listing: RepoListing | None) -> Expected:
    """What the file must be: as its source said at the sync, else as the cache itself says.

    Raises:
        InvalidInput: when neither says it.
        IntegrityError: by its size it is something else.
    """
    claim = file.claim
    expect = Expected(claim.sha256, claim.size, claim.git_oid, file.path)
    if listing is not None:
        if (known := listing.by_path.get(file.path)) is None:
            raise InvalidInput("the commit has no such file", field="path")
        expect = Expected(known.sha256, known.size, known.git_oid, file.path)
    if expect.sha256 is None and expect.git_oid is None:
        raise InvalidInput("nothing says what its bytes should be", field="path")
    if expect.size is not None and expect.size != file.size:
        expect.refuse("size", expect.size, file.size)
    return expect


def _ref(repo: RepoId) -> ModelRef:
    return ModelRef(repo.name, repo.vendor or None, repo.source)


def _size(cached: CachedCommit) -> int:
    return sum(file.size for file in cached.files)


def _is_ours(root: Path) -> bool:
    """Whether nobody else can put names into the cache: huggingface_hub 2 shares bytes by several names."""
    look = root.stat()
    return look.st_uid == os.geteuid() and not look.st_mode & stat.S_IWOTH
