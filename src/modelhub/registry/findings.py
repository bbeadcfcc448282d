"""Rows of findings brought up to date in place.

Logs and loaded instances point at models and variants, so what was found again keeps its row, and
its id. It is known again by its name: a model within its revision, a variant within its model.
"""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy import delete, inspect, select
from sqlalchemy.orm import Session, selectinload

from modelhub.registry.statements import batches
from modelhub.registry.tables import (
    ComponentFileRow,
    ComponentRow,
    FactRow,
    ModelRow,
    Row,
    VariantRow,
)

__all__ = ["replace_facts", "replace_models"]

R = TypeVar("R", bound=ModelRow | VariantRow)

_WHOLE = (
    selectinload(ModelRow.variants).selectinload(VariantRow.components).selectinload(ComponentRow.files)
)
# Not of what was found: who a row is, where it hangs, and when it was written.
_OWN = {"id", "revision_id", "created_at", "updated_at"}
_PARENTS = {"logical_model_id", "model_variant_id", "component_id"}


def replace_models(session: Session, revision_id: int, wanted: Sequence[ModelRow]) -> None:
    """Let the models of a revision be `wanted`, new rows that are used only as far as they differ."""
    found = select(ModelRow).where(ModelRow.revision_id == revision_id).options(_WHOLE)
    fresh = found.order_by(ModelRow.position).execution_options(populate_existing=True)
    rows = session.scalars(fresh).all()
    for old, new in _merge(session, rows, wanted, lambda model: model.model_name):
        for before, after in _merge(
            session, old.variants, new.variants, lambda variant: variant.variant_name, old.id
        ):
            _replace_components(session, before, after)
    session.flush()


def replace_facts(session: Session, revision_id: int, wanted: Sequence[FactRow]) -> None:
    """Let the statements of a revision be `wanted`."""
    found = select(FactRow).where(FactRow.revision_id == revision_id).order_by(FactRow.position)
    before = session.scalars(found).all()
    if [_content(row) for row in before] != [_content(row) for row in wanted]:
        _delete(session, FactRow, before)
        session.add_all(wanted)
        session.flush()


def _merge(
    session: Session,
    rows: Sequence[R],
    wanted: Sequence[R],
    name: Callable[[R], str],
    model_id: int | None = None,
) -> list[tuple[R, R]]:
    """Delete what is not wanted, add what is new; the rest, updated, with what is wanted of it."""
    free: dict[str, list[R]] = {}
    for row in reversed(rows):
        free.setdefault(name(row), []).append(row)
    pairs = [(free[name(new)].pop() if free.get(name(new)) else None, new) for new in wanted]
    for row in (row for left in free.values() for row in left):
        _delete(session, type(row), [row])
    kept = [(old, new) for old, new in pairs if old is not None]
    _make_room(session, kept)
    for old, new in kept:
        _assign(old, new)
    session.flush()
    for new in (new for old, new in pairs if old is None):
        if isinstance(new, VariantRow) and model_id is not None:
            new.logical_model_id = model_id
        session.add(new)
    session.flush()
    return kept


def _make_room(session: Session, pairs: Iterable[tuple[R, R]]) -> None:
    """Take rows that move out of the way first: no two may have one position, even for a moment."""
    for old, new in pairs:
        if old.position != new.position:
            old.position = -1 - old.position
    session.flush()


def _assign(old: R, new: R) -> None:
    for name, value in _values(new).items():
        # What introspection does not say, it does not take away.
        if name in new.__dict__ and _said(getattr(old, name)) != _said(value):
            setattr(old, name, value)


def _replace_components(session: Session, before: VariantRow, after: VariantRow) -> None:
    """Nothing hangs on components, so they are replaced together."""
    if list(map(_component, before.components)) == list(map(_component, after.components)):
        return
    _delete(session, ComponentRow, before.components)
    for part in list(after.components):
        part.model_variant_id = before.id
        session.add(part)


def _component(row: ComponentRow) -> tuple[str, list[str]]:
    return _content(row), [_content(file) for file in row.files]


def _content(row: FactRow | ComponentRow | ComponentFileRow) -> str:
    return _said(_values(row))


def _values(row: Row) -> dict[str, Any]:
    names = (column.key for column in inspect(type(row)).column_attrs)
    return {name: getattr(row, name) for name in names if name not in _OWN | _PARENTS}


def _said(value: object) -> str:
    """Tells `1` from `True` and `1.0`, which Python calls equal."""
    return json.dumps(value, sort_keys=True)


def _delete(session: Session, table: type[Any], rows: Collection[Any]) -> None:
    for batch in batches(sorted(row.id for row in rows)):
        gone = delete(table).where(table.id.in_(batch))
        session.execute(gone.execution_options(synchronize_session=False))
    for row in rows:
        _let_go(session, row)


def _let_go(session: Session, row: Row) -> None:
    """Forget a deleted row and what went with it: SQLite may use their ids again at once."""
    for children in ("variants", "components", "files"):
        for child in row.__dict__.get(children, ()):
            _let_go(session, child)
    session.expunge(row)
