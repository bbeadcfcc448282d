"""Which other repositories have the bytes of a commit: one statement, answered from indexes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Select, func, select, union
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from modelhub.facts import Model, SharedFile, Sharing
from modelhub.refs import Digest, RepoPath
from modelhub.registry.tables import RepoFileRow, RepoRow, RevisionRow

__all__ = ["sharings"]

Rows = Select[*tuple[Any, ...]]

LEAST = 64 * 1024
"""Bytes. Of smaller files it is no news that others have them too: they are often configurations."""

MOST_ROWS = 10_000
MOST_REPOS = 20


def sharings(
    session: Session, record_id: int, commit: str, models: Sequence[Model]
) -> tuple[Sharing, ...]:
    """The repositories that have bytes of this commit, those with the most first: twenty at most.

    A forgotten repository has none. `models` say to which components the files belong.
    """
    mine, other = aliased(RepoFileRow), aliased(RepoFileRow)
    halves = (
        _half(mine, other, column, record_id, commit) for column in (other.hash_sha256, other.lfs_sha256)
    )
    # In the order of our own files, so that the limit cuts whole files off.
    rows = session.execute(union(*halves).order_by("position").limit(MOST_ROWS))
    components = _components(models, commit)
    found: dict[tuple[str, str], dict[str, SharedFile]] = {}
    for _, path, size, digest, source, name, theirs in rows:
        file = SharedFile(
            path=RepoPath(path),
            size=size,
            sha256=Digest(digest),
            other_path=RepoPath(theirs),
            components=components.get(path, ()),
        )
        found.setdefault((source, name), {}).setdefault(digest, file)
    every = [
        Sharing(repo=name, source=source, files=tuple(files.values()))
        for (source, name), files in found.items()
    ]
    return tuple(sorted(every, key=lambda each: (-each.bytes, each.repo))[:MOST_REPOS])


def _half(
    mine: type[RepoFileRow],
    other: type[RepoFileRow],
    column: InstrumentedAttribute[Any],
    record_id: int,
    commit: str,
) -> Rows:
    """By one of the two columns that have an index each."""
    digest = func.coalesce(mine.hash_sha256, mine.lfs_sha256)
    return (
        select(
            mine.position.label("position"),
            mine.file_path,
            mine.size_bytes,
            digest,
            RepoRow.source,
            RepoRow.model_repo_name,
            func.min(other.file_path),
        )
        .join(RevisionRow, mine.revision_id == RevisionRow.id)
        .join(other, column == digest)
        .join(RepoRow, other.model_repo_id == RepoRow.id)
        .where(
            RevisionRow.model_repo_id == record_id,
            RevisionRow.commit_hash == commit,
            mine.size_bytes >= LEAST,
            other.model_repo_id != record_id,
            RepoRow.deleted_at.is_(None),
        )
        .group_by(
            mine.position,
            mine.file_path,
            mine.size_bytes,
            digest,
            RepoRow.source,
            RepoRow.model_repo_name,
        )
    )


def _components(models: Sequence[Model], commit: str) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for path, name in _named(models, commit):
        found.setdefault(path, {})[name] = None
    return {path: tuple(names) for path, names in found.items()}


def _named(models: Sequence[Model], commit: str) -> Iterator[tuple[str, str]]:
    for model in models:
        for variant in model.variants:
            yield from (
                (file.path, part.name) for part, file in variant.files() if part.commit == commit
            )
