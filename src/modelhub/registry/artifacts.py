"""Bytes by their hash: the rows that files, snapshots and stores point at."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session

from modelhub.errors import FileNotInRepository, StoreUnavailable
from modelhub.refs import Digest
from modelhub.registry.statements import batches, insert
from modelhub.registry.tables import (
    ArtifactLocationRow,
    ArtifactRow,
    ComponentFileRow,
    ComponentRow,
    RepoFileRow,
    StoreRow,
)
from modelhub.registry.types import check_indexable

__all__ = [
    "StoreKey",
    "artifact_ids",
    "is_store",
    "known_artifacts",
    "last_used",
    "link_files",
    "moved_away",
    "store_id",
    "store_ids",
]

_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\b")
_ORIGIN = ("model_repo_id", "filename", "path", "format", "precision", "part_id")


@dataclass(frozen=True, slots=True)
class StoreKey:
    """Which store: its URI, and the host that sees it, `""` for one that all hosts share.

    Raises:
        InvalidInput: for a URI that is too long.
    """

    uri: str
    host: str

    def __post_init__(self) -> None:
        check_indexable(self.uri, "store")


def is_store(key: StoreKey) -> ColumnElement[bool]:
    """That a row of `store` is this store's."""
    return and_(StoreRow.uri == key.uri, StoreRow.host == key.host)


def store_ids(key: StoreKey) -> Select[int]:
    """The number of this store's row; nothing where it has none."""
    return select(StoreRow.id).where(is_store(key))


def last_used() -> ColumnElement[datetime]:
    """When the bytes of a location were used last."""
    return func.coalesce(ArtifactLocationRow.last_accessed_at, ArtifactLocationRow.created_at)


def artifact_ids(session: Session, sizes: Mapping[Digest, int]) -> dict[Digest, int]:
    """The rows of these bytes by their hashes, made where they are missing; sizes are in bytes.

    They stay until the transaction ends: a purge in the same moment waits for it.
    """
    known = _known(session, sorted(sizes))
    # In one order everywhere, so that two processes that insert the same cannot block each other.
    while missing := sorted(sizes.keys() - known.keys()):
        new = [{"hash_sha256": digest, "size_bytes": sizes[digest]} for digest in missing]
        session.execute(insert(session, ArtifactRow).on_conflict_do_nothing(), new)
        # One that was in the way may be gone by now: then it is made after all.
        known |= _known(session, missing)
    return known


def link_files(session: Session, revision_id: int, digests: Mapping[str, Digest]) -> None:
    """Let files of a revision, by their paths, point at the artifacts that hold their bytes.

    Raises:
        FileNotInRepository
    """
    found = select(RepoFileRow).where(
        RepoFileRow.revision_id == revision_id, RepoFileRow.file_path.in_(digests)
    )
    rows = session.scalars(found).all()
    if missing := digests.keys() - {row.file_path for row in rows}:
        raise FileNotInRepository(f"the revision has no file {min(missing)!r}", field="path")
    _name_artifacts(session, rows, digests)
    artifacts = artifact_ids(session, {digests[row.file_path]: row.size_bytes for row in rows})
    for row in rows:
        row.hash_sha256 = digests[row.file_path]
        row.storage_artifact_id = artifacts[digests[row.file_path]]
    session.flush()


def store_id(session: Session, key: StoreKey) -> int:
    """The row of this store, made if it is missing. It stays where it is until the transaction ends.

    Raises:
        StoreUnavailable: it was moved.
    """
    # Locked, so that a move in the same moment either sees what is done, or is seen.
    mine = (
        select(StoreRow.id, StoreRow.moved_to)
        .where(is_store(key))
        .with_for_update(key_share=True, read=True)
    )
    found = session.execute(mine).first()
    if found is None:
        session.execute(
            insert(session, StoreRow).values(uri=key.uri, host=key.host).on_conflict_do_nothing()
        )
        found = session.execute(mine).one()
    if found.moved_to is not None:
        raise moved_away(key, found.moved_to)
    return int(found.id)


def moved_away(key: StoreKey, to: str) -> StoreUnavailable:
    """The error for a store whose bytes are elsewhere now."""
    return StoreUnavailable(
        f"the store {key.uri} was moved to {to}",
        hint=f"Set MODELHUB_STORE_URI={to}, or give store={to!r}.",
        store=key.uri,
        moved_to=to,
    )


def known_artifacts(session: Session, digests: Iterable[Digest]) -> dict[Digest, int]:
    """The rows of those bytes that have one. They stay until the transaction ends; see `artifact_ids`."""
    return _known(session, sorted(digests))


def _known(session: Session, digests: Iterable[Digest]) -> dict[Digest, int]:
    known: dict[Digest, int] = {}
    for batch in batches(digests):
        found = (
            select(ArtifactRow.hash_sha256, ArtifactRow.id)
            .where(ArtifactRow.hash_sha256.in_(batch))
            .order_by(ArtifactRow.hash_sha256)
            .with_for_update(key_share=True, read=True)
        )
        known |= {Digest(digest): number for digest, number in session.execute(found)}
    return known


def _name_artifacts(
    session: Session, rows: Sequence[RepoFileRow], digests: Mapping[str, Digest]
) -> None:
    """Note where these bytes were seen first, unless that is known."""
    made_of = _made_of(session, rows)
    named: dict[Digest, dict[str, Any]] = {}
    for row in rows:
        format_, precision = made_of.get(row.id, (None, None))
        digest = digests[row.file_path]
        named[digest] = {
            "hash_sha256": digest,
            "size_bytes": row.size_bytes,
            "model_repo_id": row.model_repo_id,
            "filename": row.file_path.rpartition("/")[2],
            "path": row.file_path,
            "format": format_,
            "precision": precision,
            "part_id": _part(row.file_path),
        }
    new = insert(session, ArtifactRow)
    keep = {name: func.coalesce(getattr(ArtifactRow, name), new.excluded[name]) for name in _ORIGIN}
    session.execute(
        new.on_conflict_do_update(index_elements=["hash_sha256"], set_=keep),
        [named[digest] for digest in sorted(named)],
    )


def _made_of(
    session: Session, rows: Sequence[RepoFileRow]
) -> Mapping[int, tuple[str | None, str | None]]:
    """Format and precision of the components that these files belong to."""
    found = (
        select(ComponentFileRow.repo_file_id, ComponentRow.format, ComponentRow.precision)
        .join(ComponentRow, ComponentFileRow.component_id == ComponentRow.id)
        .where(ComponentFileRow.repo_file_id.in_([row.id for row in rows]))
    )
    return {row.repo_file_id or 0: (row.format, row.precision) for row in session.execute(found)}


def _part(path: str) -> str | None:
    """`2-6` of `model-00002-of-00006.safetensors`."""
    found = _SHARD.search(path)
    return found and f"{int(found.group(1))}-{int(found.group(2))}"
