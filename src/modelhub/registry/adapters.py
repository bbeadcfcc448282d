"""What other rooms must remember, kept in the registry's tables. Fits their ports structurally."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row as Result
from sqlalchemy import Select, and_, case, delete, or_, select
from sqlalchemy.orm import Session

from modelhub.facts import BlobRecord, BlobState, Proof
from modelhub.refs import Digest
from modelhub.registry.artifacts import StoreKey, artifact_ids, is_store, store_id
from modelhub.registry.registry import Registry
from modelhub.registry.statements import batches, insert, now
from modelhub.registry.tables import ArtifactLocationRow, ArtifactProofRow, ArtifactRow, StoreRow

__all__ = ["StoreLedger"]

_PROOF = ("host", "device", "inode", "size", "mtime_ns", "ctime_ns", "recorded_ns")
_STATES = [state.value for state in BlobState]
_LOCATED = ("state", "path", "size_bytes")
_PROVED = (*_PROOF[1:], "verified_at")


class StoreLedger:
    """The ledger of the store at `store_uri`, as `host` sees it (`modelhub.store.ports.Ledger`).

    Hosts of one database have a store each, also at the same URI. With `shared` it is one store of
    all hosts that say so, in which each still has proofs of its own.

    Raises:
        InvalidInput: for a URI that is too long.
    """

    def __init__(self, registry: Registry, store_uri: str, *, host: str, shared: bool = False) -> None:
        self.key = StoreKey(store_uri, "" if shared else host)
        self._registry = registry
        self.host = self._host = host

    def find(self, digests: Iterable[Digest]) -> Mapping[Digest, BlobRecord]:
        """The records of those that are known, with this host's proofs."""
        found: dict[Digest, BlobRecord] = {}
        with self._registry.read() as tx:
            for batch in batches(digests):
                found |= self._find(tx.session, batch)
        return found

    def everything(self) -> Sequence[BlobRecord]:
        """The records of all blobs that are here or were once, with this host's proofs."""
        query = self._mine().where(ArtifactLocationRow.state.in_(_STATES))
        with self._registry.read() as tx:
            return tuple(map(_fact, tx.session.execute(query.order_by(ArtifactRow.hash_sha256))))

    def stale(self, before: datetime, limit: int) -> Sequence[BlobRecord]:
        """Present blobs that this host has not hashed since `before`, the longest ago first."""
        hashed = ArtifactProofRow.verified_at
        query = (
            self._mine()
            .where(
                ArtifactLocationRow.state == BlobState.PRESENT.value,
                or_(hashed.is_(None), hashed < before),
            )
            .order_by(hashed.nulls_first(), ArtifactRow.hash_sha256)
            .limit(limit)
        )
        with self._registry.read() as tx:
            return tuple(map(_fact, tx.session.execute(query)))

    def record(self, records: Iterable[BlobRecord]) -> None:
        """Insert or replace records, all or none; other hosts' proofs stay."""
        with self._registry.begin() as tx:
            home = store_id(tx.session, self.key)
            # Sorted, so that two processes that record the same cannot block each other.
            for batch in batches(sorted(records, key=lambda record: record.digest)):
                self._record(tx.session, home, {record.digest: record for record in batch})

    def _find(self, session: Session, digests: Iterable[Digest]) -> Mapping[Digest, BlobRecord]:
        query = self._mine().where(
            ArtifactRow.hash_sha256.in_(digests), ArtifactLocationRow.state.in_(_STATES)
        )
        return {record.digest: record for record in map(_fact, session.execute(query))}

    def _mine(self) -> Select[tuple[Any, ...]]:
        """The blobs of this store, with this host's proofs."""
        located = (getattr(ArtifactLocationRow, name) for name in _LOCATED)
        proved = (getattr(ArtifactProofRow, name) for name in ("host", *_PROVED))
        mine = and_(
            ArtifactProofRow.location_id == ArtifactLocationRow.id, ArtifactProofRow.host == self._host
        )
        return (
            select(ArtifactRow.hash_sha256, *located, *proved)
            .join(ArtifactRow, ArtifactLocationRow.artifact_id == ArtifactRow.id)
            .join(StoreRow, ArtifactLocationRow.store_id == StoreRow.id)
            .outerjoin(ArtifactProofRow, mine)
            .where(is_store(self.key))
        )

    def _record(self, session: Session, home: int, records: Mapping[Digest, BlobRecord]) -> None:
        artifacts = artifact_ids(session, {digest: record.size for digest, record in records.items()})
        new, moment = insert(session, ArtifactLocationRow), now(session)
        replace: dict[str, Any] = {name: new.excluded[name] for name in _LOCATED}
        # What came (back) is new: no collection takes it at once. A proof that is renewed is no use of it.
        came = (ArtifactLocationRow.state != "present") | ArtifactLocationRow.last_accessed_at.is_(None)
        replace["last_accessed_at"] = case(
            (came, new.excluded.last_accessed_at), else_=ArtifactLocationRow.last_accessed_at
        )
        session.execute(
            new.on_conflict_do_update(index_elements=["store_id", "artifact_id"], set_=replace),
            [
                {
                    "store_id": home,
                    "artifact_id": artifacts[digest],
                    "last_accessed_at": moment,
                    **_location(record),
                }
                for digest, record in records.items()
            ],
        )
        located = _locations(session, home, artifacts.values())
        self._prove(session, {located[artifacts[digest]]: one for digest, one in records.items()})

    def _prove(self, session: Session, records: Mapping[int, BlobRecord]) -> None:
        """Replace this host's proofs by those of `records`, which are by their locations."""
        bare = [location for location, record in records.items() if record.proof is None]
        gone = delete(ArtifactProofRow).where(
            ArtifactProofRow.location_id.in_(bare), ArtifactProofRow.host == self._host
        )
        session.execute(gone.execution_options(synchronize_session=False))
        proofs = [
            {"location_id": location, "verified_at": record.verified_at, **record.proof.model_dump()}
            for location, record in records.items()
            if record.proof is not None
        ]
        if proofs:
            new = insert(session, ArtifactProofRow)
            replace = {name: new.excluded[name] for name in _PROVED}
            session.execute(
                new.on_conflict_do_update(index_elements=["location_id", "host"], set_=replace), proofs
            )


def _locations(session: Session, home: int, artifacts: Iterable[int]) -> Mapping[int, int]:
    """The locations in a store by their artifacts."""
    found = select(ArtifactLocationRow.artifact_id, ArtifactLocationRow.id).where(
        ArtifactLocationRow.store_id == home, ArtifactLocationRow.artifact_id.in_(list(artifacts))
    )
    return {row.artifact_id: row.id for row in session.execute(found)}


def _location(record: BlobRecord) -> dict[str, Any]:
    return {"state": record.state, "path": record.path, "size_bytes": record.size}


def _fact(row: Result[Any]) -> BlobRecord:
    values = row._asdict()
    proof = {name: values[name] for name in _PROOF}
    return BlobRecord(
        digest=Digest(row.hash_sha256),
        size=row.size_bytes,
        state=BlobState(row.state),
        path=row.path,
        proof=None if row.host is None else Proof(**proof),
        verified_at=row.verified_at,
    )
