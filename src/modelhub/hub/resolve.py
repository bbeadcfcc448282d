"""From a reference to a repository at a commit, asking its source only when it must."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NoReturn

from modelhub.errors import AmbiguousReference, Offline, RepositoryNotFound, RevisionNotFound
from modelhub.facts import (
    Call,
    JobKind,
    JsonDict,
    ProgressCallback,
    RepoFile,
    RepoId,
    RepoListing,
    RepoRecord,
    Report,
)
from modelhub.hub.places import Place
from modelhub.jobs import Jobs, References, Syncer
from modelhub.planner import nearest
from modelhub.refs import ModelRef
from modelhub.registry import Registry, Transaction
from modelhub.registry.introspect import DESCRIBING, MAX_FILE, metadata_wanted
from modelhub.sources import Source, Sources

DEFAULT_SOURCE = "huggingface"
LOCAL = "local"
MAX_REPORTS = 256


@dataclass(frozen=True, slots=True)
class Target:
    """A repository at a commit, as the registry knows it."""

    record: RepoRecord
    commit: str
    report: Report
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolver:
    """Finds what a reference means; registers and syncs what is unknown."""

    registry: Registry
    jobs: Jobs
    syncer: Syncer
    sources: Sources
    offline: bool
    # What a commit holds does not change but by our own syncs and fetches, which clear this; a sync
    # by another process, and what follows from it for others, moves `updated_at`.
    _reports: dict[tuple[int, str], tuple[datetime | None, Report]] = field(default_factory=dict)

    def source(self, name: str) -> Source:
        """A source, for use now.

        Raises:
            Offline: when it is remote and this Hub is offline.
        """
        source = self.sources.get(name)
        if source.remote and self.offline:
            raise Offline(
                f"source {source.name} needs the network, and this Hub is offline",
                hint="Use Hub(offline=False), or unset MODELHUB_OFFLINE.",
            )
        return source

    def register(self, ref: ModelRef, **wishes: Any) -> RepoRecord:
        """Record the repository of `ref` without asking a remote source."""
        known = self.find(ref)
        if known is not None:
            repo, uri = known.repo, known.source_uri
        elif ref.is_local:
            listing = self.syncer.distinct(self.source(LOCAL).describe(ref))
            repo, uri = listing.repo, listing.source_uri
        else:
            repo = RepoId(source=self._source_name(ref), vendor=ref.vendor or "", name=ref.name)
            uri = self.sources.get(repo.source).uri(ref)
        with self.registry.begin() as tx:
            return tx.repos.register(repo, source_uri=uri, **wishes)

    def resolve(
        self,
        ref: ModelRef,
        call: Call,
        on_progress: ProgressCallback | None = None,
        *,
        refresh: bool = False,
    ) -> Target:
        """The repository of `ref` at the commit that it means.

        A known repository is answered from the registry alone unless `refresh`; an unknown one, and
        a revision not seen before, is synced first. A local folder is looked at each time.
        """
        if ref.is_local and not refresh:
            return self._local(ref, call, on_progress)
        record = self.find(ref)
        if record is not None and not refresh and (target := self._known(ref, record)):
            return target
        return self.sync(ref, call, on_progress, record=record)

    def known(self, ref: ModelRef) -> Target:
        """The repository of `ref` at the commit that it meant when it was last synced. Asks nobody.

        Raises:
            RepositoryNotFound, RevisionNotFound: when it is not known here.
        """
        record = self.registered(ref)
        return self._known(ref, record) or self._never_seen(ref, record, "is not known here")

    def registered(self, ref: ModelRef, *, forgotten: bool = False) -> RepoRecord:
        """The repository of `ref`; where none is registered, with `forgotten` one that was. Asks nobody.

        Raises:
            RepositoryNotFound, AmbiguousReference
        """
        record = self.find(ref)
        if record is None and forgotten:
            record = self.find(ref, forgotten=True)
        if record is None:
            raise self._unknown(ref, "is not known here", "`modelhub ls` lists what is.")
        return record

    def pin(self, ref: ModelRef, pinned: bool) -> RepoRecord:
        """Say of a registered repository whether it may make room for others.

        Raises:
            RepositoryNotFound, AmbiguousReference
        """
        record = self.registered(ref)
        with self.registry.begin() as tx:
            tx.repos.pin(record.id, pinned)
        return self.registered(ref)

    def find(self, ref: ModelRef, *, forgotten: bool = False) -> RepoRecord | None:
        """The registered repository that `ref` names, if any; with `forgotten` one that was forgotten.

        A name without a vendor means the one repository of that name, whatever its vendor. With a
        source it means what it says: that source's repository without a vendor.

        Raises:
            AmbiguousReference: when several have the name.
        """
        source = self._source_name(ref) if ref.source else None
        with self.registry.read() as tx:
            if ref.is_local:
                uri = self.sources.get(LOCAL).uri(ref)
                return tx.repos.find_by_uri(LOCAL, uri, forgotten=forgotten)
            found = tx.repos.find(ref.name, ref.vendor, source, forgotten=forgotten)
        bare = [record for record in found if not record.repo.vendor]
        if ref.vendor is None and (bare or ref.source):
            found = tuple(bare)
        if len(found) > 1:
            names = ", ".join(f"{record.repo.source}://{record.repo.id}" for record in found)
            raise AmbiguousReference(
                f"several repositories are called {ref.id!r}",
                hint=f"Name one of {names}.",
                field="model",
            )
        return found[0] if found else None

    def sync(
        self,
        ref: ModelRef,
        call: Call,
        on_progress: ProgressCallback | None = None,
        *,
        record: RepoRecord | None = None,
    ) -> Target:
        """Ask the source what `ref` is now, as a job, and write it down; and so with the repositories that
        it builds on and that are not known.
        """
        synced = self._sync(ref, call, on_progress, record)

        def sync_other(other: ModelRef) -> None:
            self.source(self._source_name(other))  # offline is no reason to call it missing
            self._sync(other, call, on_progress, None)

        try:
            References(self.registry).settle(synced.record.id, synced.commit, sync_other)
        finally:
            self.forget_reports()
        return self._target(synced.record.id, synced.commit, ref.tags)

    def _sync(
        self,
        ref: ModelRef,
        call: Call,
        on_progress: ProgressCallback | None,
        record: RepoRecord | None,
    ) -> Target:
        record = record or self.find(ref)
        source = self._reachable(ref, record)
        asked = (ref if record is None else _registered(ref, record)).without_tags()
        # One repository at one revision is one job, whatever folder its path is relative to.
        what = source.uri(asked) if asked.is_local else f"{source.name}://{asked.id}"
        what += f"@{asked.revision}" if asked.revision else ""
        try:
            output = self.jobs.run(
                JobKind.REPO_SYNC,
                f"repo_sync:{what}",
                {"ref": what, "source": source.name},
                lambda context: _output(*self.syncer.sync(asked, source, context, record)),
                call=call,
                on_progress=on_progress,
            )
        finally:
            self.forget_reports()
        return self._target(int(str(output["repo"])), str(output["commit"]), ref.tags)

    def known_part(self, place: Place) -> Target | None:
        """The repository that parts of a model are of, at their commit; a forgotten one too. Asks nobody."""
        repo = place.id
        with self.registry.read() as tx:
            for forgotten in (False, True):
                found = tx.repos.find(repo.name, repo.vendor or None, repo.source, forgotten=forgotten)
                for record in (each for each in found if each.repo.key == repo.key):
                    if report := self._report(tx, record, place.commit):
                        return Target(record, place.commit, report)
        return None

    def part_of(self, place: Place, call: Call, on_progress: ProgressCallback | None = None) -> Target:
        """The repository that parts of a model are of, which is not known here: it is synced.

        Raises:
            RepositoryNotFound, Offline
        """
        repo = place.id
        ref = ModelRef(repo.name, repo.vendor or None, repo.source, place.commit)
        return self._sync(ref, call, on_progress, None)

    def listing(self, target: Target, paths: Iterable[str] | None = None) -> RepoListing:
        """Every file of the repository; with `paths`, those of them that it has.

        Raises:
            RepositoryNotFound: when it was purged since it was found.
        """
        with self.registry.read() as tx:
            listing = tx.revisions.listing(target.record.id, target.commit, paths)
        if listing is None:
            raise RepositoryNotFound(
                f"{target.report.repo} was purged meanwhile", hint="Ask for it again.", field="model"
            )
        return listing

    def companions(self, target: Target) -> tuple[RepoFile, ...]:
        """The small files that go with every variant. Not read of a repository's other files: they may be many."""
        with self.registry.read() as tx:
            files = tx.revisions.files_of_kind(target.record.id, target.commit, DESCRIBING, MAX_FILE)
        return metadata_wanted(files)

    def with_sharing(self, target: Target) -> Report:
        """The report, with the other repositories that have some of its bytes now."""
        with self.registry.read() as tx:
            shared = tx.models.shared(target.record.id, target.report)
        return target.report.model_copy(update={"shared": shared})

    def reread(self, target: Target) -> Target:
        """The same commit, with what anybody has learnt of it since."""
        self._reports.pop((target.record.id, target.commit), None)
        return self._target(target.record.id, target.commit, target.tags)

    def forget_reports(self) -> None:
        """Read them anew: files have been fetched, and their digests are known now."""
        self._reports.clear()

    def _report(self, tx: Transaction, record: RepoRecord, commit: str) -> Report | None:
        stamp, report = self._reports.get((record.id, commit), (None, None))
        if report is not None and stamp == record.updated_at:
            return report
        report = tx.models.report(record.id, commit)
        if report is not None:
            if len(self._reports) >= MAX_REPORTS:
                self._reports.clear()
            self._reports[record.id, commit] = (record.updated_at, report)
        return report

    def _source_name(self, ref: ModelRef) -> str:
        return self.sources.canonical(ref.source or DEFAULT_SOURCE)

    def _local(self, ref: ModelRef, call: Call, on_progress: ProgressCallback | None) -> Target:
        listing = self.source(LOCAL).describe(ref)
        with self.registry.read() as tx:
            record = tx.repos.find_by_uri(LOCAL, listing.source_uri)
            report = self._report(tx, record, listing.commit) if record else None
        if record is None or report is None:
            return self.sync(ref, call, on_progress, record=record)
        return Target(record, listing.commit, report)

    def _known(self, ref: ModelRef, record: RepoRecord) -> Target | None:
        with self.registry.read() as tx:
            commit = tx.revisions.resolve(record.id, ref.revision) if ref.revision else record.git_head
            report = self._report(tx, record, commit) if commit else None
            seen = self.offline and commit is None and bool(tx.revisions.refs(record.id))
        if commit is not None and report is not None:
            return Target(record, commit, report, ref.tags)
        if seen:
            self._never_seen(ref, record, "is not known, and this Hub is offline")
        return None

    def _never_seen(self, ref: ModelRef, record: RepoRecord, what: str) -> NoReturn:
        with self.registry.read() as tx:
            names = [name for name, _ in tx.revisions.refs(record.id)]
        wanted = ref.revision or record.default_branch
        known = ", ".join(nearest(wanted, names)) or "none, it was never synced"
        raise RevisionNotFound(
            f"revision {wanted!r} of {record.repo.id} {what}",
            hint=f"Known here: {known}.",
            field="revision",
        )

    def _target(self, record_id: int, commit: str, tags: tuple[str, ...]) -> Target:
        with self.registry.read() as tx:
            record = tx.repos.get(record_id)
            report = self._report(tx, record, commit)
        assert report is not None
        return Target(record, commit, report, tags)

    def _reachable(self, ref: ModelRef, record: RepoRecord | None) -> Source:
        if record is not None:
            return self.source(record.repo.source)
        try:
            return self.source(LOCAL if ref.is_local else self._source_name(ref))
        except Offline as error:
            raise self._unknown(ref, "is not known, and this Hub is offline", error.hint) from error

    def _unknown(self, ref: ModelRef, what: str, hint: str) -> RepositoryNotFound:
        with self.registry.read() as tx:
            names = [record.repo.id for record in tx.repos.list(limit=1000)]
        known = ", ".join(nearest(ref.id, names)[:5]) or "nothing yet"
        return RepositoryNotFound(f"{ref.id} {what}", hint=f"Known here: {known}. {hint}", field="model")


def _registered(ref: ModelRef, record: RepoRecord) -> ModelRef:
    """The same as the registry spells it, so that one repository is one job."""
    repo = record.repo
    if repo.source == LOCAL:
        if ref.revision:
            raise RevisionNotFound(
                f"{repo.id} has no revision {ref.revision!r}",
                hint="A folder is only what it is now; leave the revision out.",
                field="revision",
            )
        return replace(ModelRef.parse(record.source_uri), tags=ref.tags)
    return ModelRef(repo.name, repo.vendor or None, repo.source, ref.revision, ref.tags)


def _output(record: RepoRecord, commit: str) -> JsonDict:
    return {"repo": record.id, "commit": commit}
