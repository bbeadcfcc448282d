"""What other rooms must remember, kept in the registry's tables. Fits their ports structurally."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Row as Result
from sqlalchemy import select
from sqlalchemy.orm import Session

from modelhub.facts import BlobRecord, BlobState, Proof
from modelhub.refs import Digest
from modelhub.registry.artifacts import artifact_ids, store_id
from modelhub.registry.registry import Registry
from modelhub.registry.statements import batches, insert
from modelhub.registry.tables import ArtifactLocationRow, ArtifactRow, StoreRow

__all__ = ["StoreLedger"]

_PROOF = ("host", "device", "inode", "size", "mtime_ns", "ctime_ns", "recorded_ns")
_STATES = [state.value for state in BlobState]
_REPLACED = ("state", "path", "size_bytes", "verified_at", *(f"proof_{name}" for name in _PROOF))


class StoreLedger:
    """The ledger of the store at `store_uri` (`modelhub.store.ports.Ledger`).

    Hosts that share a database but not the folder must tell their stores apart by the URI, as in
    `file://host/folder`.
    """

    def __init__(self, registry: Registry, store_uri: str) -> None:
        self._registry = registry
        self._uri = store_uri

    def find(self, digests: Iterable[Digest]) -> Mapping[Digest, BlobRecord]:
        """The records of those that are known."""
        found: dict[Digest, BlobRecord] = {}
        with self._registry.read() as tx:
            for batch in batches(digests):
                found |= self._find(tx.session, batch)
        return found

    def record(self, records: Iterable[BlobRecord]) -> None:
        """Insert or replace records, all or none."""
        with self._registry.begin() as tx:
            home = store_id(tx.session, self._uri)
            # Sorted, so that two processes that record the same cannot block each other.
            for batch in batches(sorted(records, key=lambda record: record.digest)):
                self._record(tx.session, home, {record.digest: record for record in batch})

    def _find(self, session: Session, digests: Iterable[Digest]) -> Mapping[Digest, BlobRecord]:
        columns = (getattr(ArtifactLocationRow, name) for name in _REPLACED)
        query = (
            select(ArtifactRow.hash_sha256, *columns)
            .join(ArtifactRow, ArtifactLocationRow.artifact_id == ArtifactRow.id)
            .join(StoreRow, ArtifactLocationRow.store_id == StoreRow.id)
            .where(
                StoreRow.uri == self._uri,
                ArtifactRow.hash_sha256.in_(digests),
                ArtifactLocationRow.state.in_(_STATES),
            )
        )
        return {record.digest: record for record in map(_fact, session.execute(query))}

    def _record(self, session: Session, home: int, records: Mapping[Digest, BlobRecord]) -> None:
        artifacts = artifact_ids(session, {digest: record.size for digest, record in records.items()})
        new = insert(session, ArtifactLocationRow)
        replace = {name: new.excluded[name] for name in _REPLACED}
        session.execute(
            new.on_conflict_do_update(index_elements=["store_id", "artifact_id"], set_=replace),
            [
                {"store_id": home, "artifact_id": artifacts[digest], **_columns(record)}
                for digest, record in records.items()
            ],
        )


def _columns(record: BlobRecord) -> dict[str, Any]:
    proof = record.proof
    return {
        "state": record.state,
        "path": record.path,
        "size_bytes": record.size,
        "verified_at": record.verified_at,
        **{f"proof_{name}": proof and getattr(proof, name) for name in _PROOF},
    }


def _fact(row: Result[Any]) -> BlobRecord:
    values = row._asdict()
    proof = {name: values[f"proof_{name}"] for name in _PROOF}
    return BlobRecord(
        digest=Digest(row.hash_sha256),
        size=row.size_bytes,
        state=BlobState(row.state),
        path=row.path,
        proof=None if proof["host"] is None else Proof(**proof),
        verified_at=row.verified_at,
    )
