"""Forgets repositories, and deletes what the store has of them."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from modelhub.errors import (
    IntegrityError,
    InUse,
    InvalidInput,
    ModelHubError,
    RepositoryNotFound,
    StoreError,
)
from modelhub.facts import (
    Call,
    Forgotten,
    Job,
    JobKind,
    JsonDict,
    JsonValue,
    ProgressCallback,
    Removal,
    RepoRecord,
)
from modelhub.hub.deleting import delete_blob
from modelhub.hub.resolve import LOCAL, Resolver
from modelhub.hub.serving import Serving
from modelhub.jobs import Holds, JobContext, Jobs
from modelhub.refs import Digest, ModelRef
from modelhub.registry import InstanceBook, Registry, StoreKey, Transaction
from modelhub.store import Store

log = logging.getLogger(__name__)

Outcome = Removal | ModelHubError


@dataclass(frozen=True, slots=True)
class Purger:
    """Rows go first, in one transaction that says in the job's row which folders are to go and marks the
    bytes; then the folders and the bytes. What was cut short in between, the next purge ends.
    """

    registry: Registry
    jobs: Jobs
    resolver: Resolver
    serving: Serving
    store: Store
    place: StoreKey
    book: InstanceBook = field(repr=False)
    holds: Holds

    def forget(self, ref: ModelRef) -> Forgotten:
        """Take a repository out of every list; its rows and files stay.

        Raises:
            RepositoryNotFound, InvalidInput
        """
        record = self._record(ref, forgotten=False)
        with self.registry.begin() as tx:
            here = tx.removals.survey(record.id, self.place)
            tx.repos.forget(record.id)
        self._let_go(record)
        log.info("repo_forgotten", extra={"model_repo_name": record.repo.id})
        return Forgotten(
            repo=record.repo.id,
            source=record.repo.source,
            files=len(here.removed) + len(here.kept),
            bytes=here.removed_bytes + here.kept_bytes,
        )

    def survey(self, ref: ModelRef) -> Removal:
        """What `purge` would remove now; of a repository whose purge was cut short, what that was to.

        Raises:
            RepositoryNotFound, InvalidInput
        """
        try:
            record = self._record(ref, forgotten=True)
        except RepositoryNotFound:
            if (left := self._left(ref)) is None:
                raise
            return left.model_copy(update={"dry_run": True})
        with self.registry.read() as tx:
            return _with_folders(tx.removals.survey(record.id, self.place), self._lent(tx, record))

    def purge(self, ref: ModelRef, call: Call, on_progress: ProgressCallback | None) -> Removal:
        """Delete a repository's rows, its folders and the bytes that no other repository has.

        Where an earlier purge of it removed the rows and was cut short, this one ends it.

        Raises:
            InUse: when something holds it; nothing was removed.
            RepositoryNotFound, InvalidInput, StoreUnavailable
        """
        self.jobs.reap()
        self.book.reap()
        self.holds.reap()
        ended = self._finish_others(call)
        try:
            record = self._record(ref, forgotten=True)
        except RepositoryNotFound:
            outcome = next((done for job, done in ended if self._was(ref, job)), None)
            if outcome is None:
                raise
            return _given(outcome)
        self._check_free(record)
        payload: JsonDict = {
            "repo": record.repo.id,
            "source": record.repo.source,
            "uri": record.source_uri,
            "store": self.store.uri,
        }
        key = f"repo_purge:{record.repo.source}://{record.repo.id}:{self.store.uri}"
        work = partial(self._work, record)
        try:
            output = self.jobs.run(
                JobKind.REPO_PURGE, key, payload, work, call=call, on_progress=on_progress
            )
        finally:
            self._let_go(record)
        return Removal.model_validate(output)

    def _record(self, ref: ModelRef, *, forgotten: bool) -> RepoRecord:
        if ref.revision or ref.tags:
            raise InvalidInput(
                f"{ref} is a part of a repository, and only a whole one can be removed",
                hint=f"Leave out what stands behind {ref.id}.",
                field="model",
            )
        return self.resolver.registered(ref, forgotten=forgotten)

    def _check_free(self, record: RepoRecord) -> None:
        if self.serving.uses(record):
            raise InUse(
                f"{record.repo.id} is in use: this Hub has it loaded, or is loading it",
                hint="Close this Hub, or purge by another one after it.",
                holders=["this Hub"],
            )

    def _let_go(self, record: RepoRecord) -> None:
        """This Hub plans nothing by what it knew."""
        self.resolver.forget_reports()
        self.serving.forget(record)

    def _work(self, record: RepoRecord | None, context: JobContext) -> JsonDict:
        """The whole purge, or what is left of it: the job's row knows how far it came."""
        job, noted = context.job, context.job.input.get("removal")
        if noted is not None:
            return self._delete(Removal.model_validate(noted), context).model_dump()
        if record is None:
            return {}  # it was cut short before it removed anything
        with self.registry.begin() as tx:
            lent = self._lent(tx, record)
            removal = _with_folders(tx.removals.remove(record.id, self.place), lent)
            tx.jobs.amend(job.id, job.input | {"removal": removal.model_dump()})
        return self._delete(removal, context).model_dump()

    def _lent(self, tx: Transaction, record: RepoRecord) -> list[str]:
        """The folders with files of repositories that are purged, linked for this one alone."""
        found = []
        for repo, commit in tx.removals.lent(record.id):
            vendor, _, name = repo.rpartition("/")
            found.append(self.store.snapshot_path(vendor, name, commit))
        return [folder for folder in found if (self.store.root / folder).is_dir()]

    def _delete(self, removal: Removal, context: JobContext) -> Removal:
        for folder in removal.folders:
            context.check()
            with self.registry.read() as tx:
                taken = tx.removals.has_snapshot(folder, self.place)
            if not taken:
                self.store.remove_snapshot(folder)
        with self.registry.read() as tx:
            doomed = tx.removals.doomed(self.place)
        spared = []
        for done, digest in enumerate(doomed):
            context.progress("remove", done, len(doomed), unit="files")
            if not self._delete_blob(digest):
                spared.append(digest)
        return removal.without(spared)

    def _delete_blob(self, digest: Digest) -> bool:
        def confirm(tx: Transaction) -> bool:
            return tx.removals.confirm(digest, self.place)

        return delete_blob(self.registry, self.store, self.place, digest, confirm)

    def _finish_others(self, call: Call) -> list[tuple[Job, Outcome]]:
        """End what purges of this store have left that were killed, or failed: how, the newest first."""
        ended: list[tuple[Job, Outcome]] = []
        with self.registry.read() as tx:
            left = tx.jobs.purges_left(self.store.uri)
        tried: list[JsonValue] = []
        for job in left:
            removal = job.input.get("removal")
            if removal in tried:
                self._close_book(job)  # another attempt at the same
                continue
            tried.append(removal)
            # One that has ended is another job than the next purge of a repository of that name.
            key = f"{job.key}#{job.id}" if job.status.ended else job.key
            try:
                output = self.jobs.run(
                    JobKind.REPO_PURGE, key, job.input, partial(self._work, None), call=call
                )
            except (StoreError, IntegrityError, InUse) as error:
                log.warning("purge_not_finished", extra={"job_id": job.id, "error_type": error.code})
                ended.insert(0, (job, error))
            else:
                self._close_book(job)
                ended.insert(0, (job, Removal.model_validate(output)))
        return ended

    def _left(self, ref: ModelRef) -> Removal | None:
        """What a purge of the repository was to remove that was cut short."""
        with self.registry.read() as tx:
            left = tx.jobs.purges_left(self.store.uri)
        mine = [job for job in left if self._was(ref, job)]
        return Removal.model_validate(mine[-1].input["removal"]) if mine else None

    def _was(self, ref: ModelRef, job: Job) -> bool:
        """Whether it is the purge of a repository that `ref` names, which has no row any more."""
        given = job.input
        if ref.is_local:
            return given.get("uri") == self.resolver.sources.get(LOCAL).uri(ref)
        vendor, _, name = str(given["repo"]).casefold().rpartition("/")
        if ref.source and self.resolver.sources.canonical(ref.source) != given["source"]:
            return False
        return name == ref.name.casefold() and (ref.vendor or vendor).casefold() == vendor

    def _close_book(self, job: Job) -> None:
        """A job that failed is another one than that which has ended its work."""
        with self.registry.begin() as tx:
            tx.jobs.amend(job.id, {key: value for key, value in job.input.items() if key != "removal"})


def _given(outcome: Outcome) -> Removal:
    if isinstance(outcome, ModelHubError):
        raise outcome
    return outcome


def _with_folders(removal: Removal, more: Iterable[str]) -> Removal:
    return removal.model_copy(update={"folders": (*removal.folders, *more)})
