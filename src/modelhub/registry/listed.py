"""Keeps what a search finds: the models of the commits that default branches mean."""

import re
from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy import insert as plain_insert
from sqlalchemy.orm import Session

from modelhub.facts.license_names import UNNAMED, license_names
from modelhub.facts.licenses import OTHER
from modelhub.registry.tables import (
    FactRow,
    ListedModelRow,
    ListedWordRow,
    ModelRow,
    RepoRow,
    RevisionRow,
    VariantRow,
)

__all__ = ["license_key", "relist", "words_of"]

_WORD = re.compile(r"[^\W_]+")
# An index cannot hold any length, and nobody looks for a name by what comes so late in it.
_NAME, _LICENSE, _LETTERS = 100, 100, 64

_COLUMNS = tuple(ListedModelRow.__table__.columns)

Listed = dict[str, Any]


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, in order: runs of letters and digits, without case.

    >>> words_of("Qwen/Qwen3-0.6B_GGUF")
    ('qwen', 'qwen3', '0', '6b', 'gguf')
    """
    return tuple(dict.fromkeys(word[:_LETTERS] for word in _WORD.findall(text.casefold())))


def license_key(value: object) -> str | None:
    """A licence as it is compared: `Apache 2.0` is `apache-2.0`; `None` where nothing is stated.

    Several that are stated together are joined by commas.
    """
    return ", ".join(sorted(license_names(value)))[:_LICENSE] or None if value else None


def relist(session: Session, record_id: int) -> None:
    """Bring what a search finds of one repository up to date; writes only when that differs."""
    wanted = _models(session, record_id)
    mine = ListedModelRow.model_repo_id == record_id
    listed = select(*_COLUMNS).where(mine).order_by(ListedModelRow.model_id)
    if list(map(dict, session.execute(listed).mappings())) == wanted:
        return
    session.execute(delete(ListedModelRow).where(mine))
    for table, rows in ((ListedModelRow, wanted), (ListedWordRow, _words(wanted))):
        if rows:
            session.execute(plain_insert(table), rows)


def _models(session: Session, record_id: int) -> list[Listed]:
    """What is to be listed, by the models' numbers. Nothing of a repository that was forgotten."""
    # Two that relist one repository do so in turn, or each would miss what the other has found.
    found = (
        select(RepoRow.vendor_key, RepoRow.name_key, RepoRow.deleted_at, RevisionRow.id)
        .join(
            RevisionRow,
            (RevisionRow.model_repo_id == RepoRow.id) & (RevisionRow.commit_hash == RepoRow.git_head),
        )
        .where(RepoRow.id == record_id)
        .with_for_update(of=RepoRow, key_share=True)
    )
    row = session.execute(found).first()
    if row is None or row.deleted_at is not None:
        return []
    shared = {
        "vendor_key": row.vendor_key,
        "name_key": row.name_key,
        "model_repo_id": record_id,
    }
    stated = _stated(session, row.id)
    return [
        {
            **shared,
            **model,
            "model_key": model["model_key"][:_NAME],
            "license": _license(stated, model["model_key"]),
        }
        for model in _found(session, row.id)
    ]


def _found(session: Session, revision_id: int) -> Iterable[Listed]:
    models = (
        select(
            ModelRow.id.label("model_id"),
            ModelRow.model_name.label("model_key"),
            ModelRow.position,
            ModelRow.task_type,
            ModelRow.subtask,
            func.min(VariantRow.size_bytes).label("smallest_bytes"),
            func.max(VariantRow.size_bytes).label("largest_bytes"),
        )
        .outerjoin(VariantRow, VariantRow.logical_model_id == ModelRow.id)
        .where(ModelRow.revision_id == revision_id)
        .group_by(ModelRow.id)
        .order_by(ModelRow.id)
    )
    return map(dict, session.execute(models).mappings())


def _stated(session: Session, revision_id: int) -> list[tuple[str, str]]:
    """Licences with what they are stated of, the most trusted evidence first."""
    stated = (
        select(FactRow.subject, FactRow.value)
        .where(FactRow.revision_id == revision_id, FactRow.key == "license")
        .order_by(FactRow.trust.desc(), FactRow.position)
    )
    return [(subject, key) for subject, value in session.execute(stated) if (key := license_key(value))]


def _license(stated: Iterable[tuple[str, str]], model: str) -> str | None:
    """The first that is not of another model, a folder's or another repository's last; `other` only where nothing names one."""
    mine = [
        key
        for late in (False, True)
        for subject, key in stated
        if subject.startswith(("folder:", OTHER)) == late and not _of_another(subject, model)
    ]
    return next((key for key in mine if key not in UNNAMED), mine[0] if mine else None)


def _of_another(subject: str, model: str) -> bool:
    kind, _, name = subject.partition(":")
    # Two formats of one model are told apart by a mark behind its name.
    return kind == "model" and model != name and not model.startswith(f"{name}-")


def _words(models: Iterable[Listed]) -> list[Listed]:
    return [
        {"model_id": model["model_id"], "word": word}
        for model in models
        for word in words_of(" ".join(model[name] for name in ("vendor_key", "name_key", "model_key")))
    ]
