"""Takes a repository out of the registry, and says which bytes of a store nobody needs then.

The bytes are deleted after the rows: their locations are marked as `deleting` in the transaction
that removes the rows, and the mark goes when the bytes are gone. So whoever is killed in between
leaves bytes with a mark, never a row without bytes; and who stores or vouches for the same bytes
meanwhile overwrites the mark, which keeps them.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.orm import Session

from modelhub.errors import InUse, RepositoryNotFound
from modelhub.facts import KeptFile, Removal, StoredFile
from modelhub.refs import Digest
from modelhub.registry.artifacts import StoreKey, is_store, store_id
from modelhub.registry.events import Events
from modelhub.registry.holders import holders
from modelhub.registry.statements import batches, close_jobs
from modelhub.registry.tables import (
    ArtifactLocationRow,
    ArtifactRow,
    ComponentFileRow,
    LeaseArtifactRow,
    ModelRow,
    RepoFileRow,
    RepoRow,
    RevisionRow,
    SnapshotFileRow,
    SnapshotRow,
    StoreRow,
    VendorRow,
)
from modelhub.registry.usage import Used, artifacts_of, lent_to, users

__all__ = ["Removals"]

_DELETING = "deleting"


class Removals:
    """What is removed from the registry, and the bytes that are to go with it."""

    def __init__(self, session: Session, events: Events) -> None:
        self._session = session
        self._events = events

    def survey(self, record_id: int, store: StoreKey, *, dry_run: bool = True) -> Removal:
        """What `remove` would remove, and what would stay because of whom.

        Raises:
            RepositoryNotFound
        """
        repo = self._repo(record_id)
        mine = artifacts_of(self._session, record_id)
        others = users(self._session, mine, record_id)
        here, elsewhere = self._located(mine, others, store)
        commits, models = self._counts(record_id)
        return Removal(
            repo=repo.model_repo_name,
            source=repo.source,
            dry_run=dry_run,
            commits=commits,
            models=models,
            removed=tuple(StoredFile(**one.file()) for one in here if one.id not in others),
            kept=tuple(KeptFile(**one.file(), users=others[one.id]) for one in here if one.id in others),
            folders=self._folders(record_id, store),
            elsewhere=elsewhere,
        )

    def remove(self, record_id: int, store: StoreKey) -> Removal:
        """Delete every row of a repository, and mark the bytes that nobody else uses, in all stores.

        Raises:
            InUse: when a loaded model, a lease or a running job holds some of it.
            RepositoryNotFound
        """
        close_jobs(self._session)
        repo = self._repo(record_id, lock=True)
        mine = artifacts_of(self._session, record_id)
        others = users(self._session, mine, record_id)
        doomed = sorted(mine.keys() - others.keys(), key=lambda number: mine[number].digest)
        if held := holders(self._session, repo, doomed):
            raise InUse(
                f"{repo.model_repo_name} is in use: {'; '.join(held)}",
                hint="Close the Hub that has it loaded, or wait for the job, and try again.",
                holders=held,
            )
        removal = self.survey(record_id, store, dry_run=False)
        self._lock(doomed)
        for batch in batches(doomed):
            marked = update(ArtifactLocationRow).where(ArtifactLocationRow.artifact_id.in_(batch))
            self._session.execute(marked.values(state=_DELETING))
        self._delete_rows(repo)
        self._prune(doomed)
        self._events.add("repo_purged", model_repo_name=removal.repo, bytes=removal.removed_bytes)
        return removal

    def lent(self, record_id: int) -> tuple[tuple[str, str], ...]:
        """The repositories, at commits, that are gone from here and of which this one alone has files: their
        folders are no snapshots that are noted.
        """
        return lent_to(self._session, record_id)

    def doomed(self, store: StoreKey) -> tuple[Digest, ...]:
        """The bytes of a store that are marked, also those that an earlier purge has left."""
        found = (
            select(ArtifactRow.hash_sha256)
            .join(ArtifactLocationRow, ArtifactLocationRow.artifact_id == ArtifactRow.id)
            .join(StoreRow, ArtifactLocationRow.store_id == StoreRow.id)
            .where(
                is_store(store),
                ArtifactLocationRow.state == _DELETING,
            )
            .order_by(ArtifactRow.hash_sha256)
        )
        return tuple(map(Digest, self._session.scalars(found)))

    def confirm(self, digest: Digest, store: StoreKey) -> bool:
        """Whether bytes are still marked, and still nobody's; the mark goes where somebody uses them."""
        artifact = select(ArtifactRow).where(ArtifactRow.hash_sha256 == digest)
        row = self._session.scalars(artifact).first()
        if row is None:
            return False
        used = Used(row.id, digest, row.size_bytes, "")
        if not users(self._session, {row.id: used}, None):
            return self._session.scalar(select(exists().where(*self._marked(row.id, store)))) or False
        spared = update(ArtifactLocationRow).where(*self._marked(row.id, store))
        self._session.execute(spared.values(state="present"))
        return False

    def gone(self, digest: Digest, store: StoreKey) -> None:
        """Marked bytes were deleted: so is what is known of them, unless they came again."""
        artifact = select(ArtifactRow.id).where(ArtifactRow.hash_sha256 == digest)
        number = self._session.scalar(artifact)
        if number is not None:
            self._lock([number])
            self._session.execute(delete(ArtifactLocationRow).where(*self._marked(number, store)))
            self._prune([number])

    def has_snapshot(self, path: str, store: StoreKey) -> bool:
        """Whether a folder of a store is some repository's snapshot."""
        mine = (
            select(SnapshotRow.id)
            .join(StoreRow, SnapshotRow.store_id == StoreRow.id)
            .where(is_store(store), SnapshotRow.path == path)
        )
        return self._session.scalars(mine.limit(1)).first() is not None

    def _repo(self, record_id: int, *, lock: bool = False) -> RepoRow:
        found = select(RepoRow).where(RepoRow.id == record_id)
        row = self._session.scalars(found.with_for_update() if lock else found).first()
        if row is None:
            raise RepositoryNotFound(f"no repository has the number {record_id}", field="record")
        return row

    def _counts(self, record_id: int) -> tuple[int, int]:
        """Of its commits, and of the models in them."""
        counted = (
            select(func.count(RevisionRow.id.distinct()), func.count(ModelRow.id))
            .outerjoin(ModelRow, ModelRow.revision_id == RevisionRow.id)
            .where(RevisionRow.model_repo_id == record_id)
        )
        commits, models = self._session.execute(counted).one()
        return commits, models

    def _located(
        self, mine: Mapping[int, Used], others: Mapping[int, object], store: StoreKey
    ) -> tuple[list[Used], tuple[str, ...]]:
        """Those that are in this store, by path; and the other stores that hold what would be marked."""
        here: list[Used] = []
        elsewhere: set[str] = set()
        for batch in batches(mine):
            found = (
                select(ArtifactLocationRow.artifact_id, StoreRow.uri, StoreRow.host)
                .join(StoreRow, ArtifactLocationRow.store_id == StoreRow.id)
                .where(
                    ArtifactLocationRow.artifact_id.in_(batch), ArtifactLocationRow.state == "present"
                )
            )
            for number, uri, host in self._session.execute(found):
                if (uri, host) == (store.uri, store.host):
                    here.append(mine[number])
                elif number not in others:
                    elsewhere.add(f"{uri} on {host}" if host else uri)
        return sorted(here, key=lambda one: (one.path, one.digest)), tuple(sorted(elsewhere))

    def _folders(self, record_id: int, store: StoreKey) -> tuple[str, ...]:
        """The snapshots in a store, but for those that a repository of the same name shares."""
        found = (
            select(
                SnapshotRow.path,
                func.min(RevisionRow.model_repo_id),
                func.max(RevisionRow.model_repo_id),
            )
            .join(RevisionRow, SnapshotRow.revision_id == RevisionRow.id)
            .join(StoreRow, SnapshotRow.store_id == StoreRow.id)
            .where(is_store(store))
            .group_by(SnapshotRow.path)
            .order_by(SnapshotRow.path)
        )
        rows = self._session.execute(found)
        return tuple(path for path, least, most in rows if least == most == record_id)

    def _delete_rows(self, repo: RepoRow) -> None:
        vendor = repo.vendor_id
        self._keep_digests(repo.id)
        self._session.execute(delete(RepoRow).where(RepoRow.id == repo.id))
        left = exists().where(RepoRow.vendor_id == VendorRow.id)
        self._session.execute(delete(VendorRow).where(VendorRow.id == vendor, ~left))
        self._session.expunge_all()

    def _keep_digests(self, record_id: int) -> None:
        """Models of other repositories that take files of this one keep what was learnt of them."""
        digest = select(RepoFileRow.hash_sha256).where(RepoFileRow.id == ComponentFileRow.repo_file_id)
        mine = select(RepoFileRow.id).where(
            RepoFileRow.model_repo_id == record_id, RepoFileRow.hash_sha256.is_not(None)
        )
        learnt = update(ComponentFileRow).where(
            ComponentFileRow.hash_sha256.is_(None), ComponentFileRow.repo_file_id.in_(mine)
        )
        self._session.execute(
            learnt.values(hash_sha256=digest.scalar_subquery()),
            execution_options={"synchronize_session": False},
        )

    def _lock(self, artifacts: Iterable[int]) -> None:
        """Wait for those who take some of these bytes, and let others wait.

        Before anything else of theirs is changed, and by hash, as those do who take them: so no two can
        block each other.
        """
        for batch in batches(artifacts):
            locked = select(ArtifactRow.id).where(ArtifactRow.id.in_(batch))
            self._session.execute(locked.order_by(ArtifactRow.hash_sha256).with_for_update())

    def _prune(self, artifacts: Iterable[int]) -> None:
        """Delete what is known of bytes that are nowhere, and that nothing points at."""
        pointing = (
            ArtifactLocationRow.artifact_id,
            SnapshotFileRow.artifact_id,
            LeaseArtifactRow.artifact_id,
            ComponentFileRow.artifact_id,
            RepoFileRow.storage_artifact_id,
        )
        for batch in batches(artifacts):
            gone = delete(ArtifactRow).where(ArtifactRow.id.in_(batch))
            for column in pointing:
                gone = gone.where(~exists().where(column == ArtifactRow.id))
            self._session.execute(gone.execution_options(synchronize_session=False))

    def _marked(self, artifact: int, store: StoreKey) -> tuple[ColumnElement[bool], ...]:
        return (
            ArtifactLocationRow.artifact_id == artifact,
            ArtifactLocationRow.store_id == store_id(self._session, store),
            ArtifactLocationRow.state == _DELETING,
        )
