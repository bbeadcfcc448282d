"""Registered repositories."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Integer, Select, bindparam, select, tuple_, update
from sqlalchemy import Row as SqlRow
from sqlalchemy.orm import Session

from modelhub.errors import InvalidInput, RepositoryNotFound
from modelhub.facts import JsonDict, RepoId, RepoRecord, SyncStatus
from modelhub.registry.events import Events
from modelhub.registry.listed import relist
from modelhub.registry.statements import insert
from modelhub.registry.tables import RepoRow, VendorRow
from modelhub.registry.types import check_indexable, utc_now

_LIVING = RepoRow.deleted_at.is_(None)


class Repos:
    """What is registered. A forgotten repository is not found until it is registered again."""

    def __init__(self, session: Session, events: Events) -> None:
        self._session = session
        self._events = events

    def register(
        self,
        repo: RepoId,
        *,
        source_uri: str,
        default_branch: str | None = None,
        task_hints: Sequence[str] | None = None,
        preferred_format: str | None = None,
        preferred_precision: str | None = None,
        quantization_targets: Sequence[str] | None = None,
    ) -> RepoRecord:
        """The record of `repo`, made if it is new, revived if it was forgotten.

        Of a known one the address and whatever wishes are given replace what was there: an empty one
        takes a wish back, and what is left out stays. Its spelling stays too: `set_spelling` changes that.

        Raises:
            InvalidInput: for an address that is too long.
        """
        check_indexable(source_uri, "source_uri")
        wishes = {
            "task_hints": task_hints if task_hints is None else list(task_hints),
            "preferred_format": preferred_format,
            "preferred_precision": preferred_precision,
            "quantization_targets": quantization_targets
            if quantization_targets is None
            else list(quantization_targets),
        }
        place = {"source_uri": source_uri, "default_branch": default_branch}
        given: dict[str, Any] = {name: value for name, value in place.items() if value}
        given |= {
            name: value if value != "" else None for name, value in wishes.items() if value is not None
        }
        row = self._by_key(repo)
        if row is None:
            # Another process may be inserting the same one now; then this waits and does nothing.
            self._insert(repo, given)
            row = self._by_key(repo)
            assert row is not None
        else:
            self._renew(row, given)
        return _record(row)

    def find(
        self,
        name: str,
        vendor: str | None = None,
        source: str | None = None,
        *,
        forgotten: bool = False,
    ) -> tuple[RepoRecord, ...]:
        """Those called `name`, without case. A vendor of `None` means any, `""` means without one.

        With `forgotten` those that were forgotten, and only those.
        """
        found = _finding(vendor=vendor is not None, source=source is not None, forgotten=forgotten)
        wanted = {"name": name.casefold(), "vendor": (vendor or "").casefold(), "source": source}
        return tuple(map(_record, self._session.execute(found, wanted)))

    def find_by_uri(self, source: str, uri: str, *, forgotten: bool = False) -> RepoRecord | None:
        """The one that lies at `uri`; the latest, if several do. With `forgotten` as `find`."""
        state = RepoRow.deleted_at.is_not(None) if forgotten else _LIVING
        found = (
            select(RepoRow)
            .where(RepoRow.source_uri == uri, RepoRow.source == source, state)
            .order_by(RepoRow.id.desc())
            .limit(1)
        )
        row = self._session.scalars(found).first()
        return None if row is None else _record(row)

    def get(self, record_id: int) -> RepoRecord:
        """One by its number, also a forgotten one.

        Raises:
            RepositoryNotFound
        """
        return _record(self._row(record_id))

    def list(self, limit: int, after: RepoRecord | None = None) -> tuple[RepoRecord, ...]:
        """At most `limit`, by vendor and name; those behind `after`, the last of the page before."""
        wanted: dict[str, Any] = {"limit": limit}
        if after is not None:
            _, vendor, name = after.repo.key
            wanted |= {"vendor": vendor, "name": name, "id": after.id}
        page = _FIRST_PAGE if after is None else _NEXT_PAGE
        return tuple(map(_record, self._session.execute(page, wanted)))

    def every(self) -> tuple[tuple[RepoRecord, bool], ...]:
        """All of them, with whether each was forgotten."""
        rows = self._session.scalars(select(RepoRow).order_by(RepoRow.id))
        return tuple((_record(row), row.deleted_at is not None) for row in rows)

    def set_status(self, record_id: int, status: SyncStatus, error: JsonDict | None = None) -> None:
        """Where its sync stands; `error` is `ModelHubError.to_dict()` of what stopped it.

        Raises:
            RepositoryNotFound
        """
        self._update(record_id, sync_status=status, sync_error=error)

    def set_spelling(self, record_id: int, repo: RepoId) -> None:
        """How its source spells it.

        Raises:
            InvalidInput: for the name of another repository.
            RepositoryNotFound
        """
        row = self._row(record_id)
        if (row.source, row.vendor_key, row.name_key) != repo.key:
            raise InvalidInput(
                f"{repo.id!r} does not spell {row.model_repo_name!r}",
                hint="Only upper and lower case may differ.",
                field="repo",
            )
        if row.model_repo_name != repo.id:
            self._update(record_id, **_spelling(repo))

    def pin(self, record_id: int, pinned: bool) -> None:
        """Say whether it may make room for others.

        Raises:
            RepositoryNotFound
        """
        self._update(record_id, pinned=pinned)

    def forget(self, record_id: int) -> None:
        """Take it out of every list. What is known of it stays, for when it comes back.

        Raises:
            RepositoryNotFound
        """
        self._update(record_id, deleted_at=utc_now())
        relist(self._session, record_id)

    def _by_key(self, repo: RepoId) -> RepoRow | None:
        source, vendor, name = repo.key
        found = (
            select(RepoRow)
            .where(RepoRow.name_key == name, RepoRow.vendor_key == vendor, RepoRow.source == source)
            .order_by(RepoRow.deleted_at.is_not(None), RepoRow.id.desc())
            .limit(1)
        )
        return self._session.scalars(found).first()

    def _insert(self, repo: RepoId, given: dict[str, Any]) -> None:
        source, vendor, name = repo.key
        values = {
            "source": source,
            "vendor_id": self._vendor(repo),
            "vendor_key": vendor,
            "name_key": name,
            "default_branch": "main",
            **_spelling(repo),
            **given,
        }
        new = insert(self._session, RepoRow).values(values).on_conflict_do_nothing()
        if self._session.scalars(new.returning(RepoRow.id)).first() is not None:
            self._events.add("repo_registered", model_repo_name=repo.id)

    def _vendor(self, repo: RepoId) -> int | None:
        if not repo.vendor:
            return None
        source, key, _ = repo.key
        mine = select(VendorRow.id).where(VendorRow.source == source, VendorRow.vendor_key == key)
        if (known := self._session.scalar(mine)) is not None:
            return known
        new = insert(self._session, VendorRow).values(source=source, vendor_key=key, name=repo.vendor)
        self._session.execute(new.on_conflict_do_nothing())
        return self._session.scalar(mine)

    def _renew(self, row: RepoRow, given: dict[str, Any]) -> None:
        changed = {name: value for name, value in given.items() if getattr(row, name) != value}
        if row.deleted_at is not None:
            changed["deleted_at"] = None
            self._events.add("repo_registered", model_repo_name=row.model_repo_name)
        if changed:
            self._update(row.id, **changed)
            self._session.refresh(row)
        if "deleted_at" in changed:
            relist(self._session, row.id)

    def _row(self, record_id: int) -> RepoRow:
        row = self._session.get(RepoRow, record_id)
        if row is None:
            raise _unknown(record_id)
        return row

    def _update(self, record_id: int, **values: Any) -> None:
        changed = update(RepoRow).where(RepoRow.id == record_id).values(values).returning(RepoRow.id)
        if self._session.scalars(changed).first() is None:
            raise _unknown(record_id)


# What each call asks is built once: that takes SQLAlchemy as long as the database takes to answer.
_RECORD = (
    RepoRow.id,
    RepoRow.source,
    RepoRow.model_vendor,
    RepoRow.model_name,
    RepoRow.source_uri,
    RepoRow.default_branch,
    RepoRow.git_head,
    RepoRow.sync_status,
    RepoRow.sync_error,
    RepoRow.task_hints,
    RepoRow.preferred_format,
    RepoRow.preferred_precision,
    RepoRow.quantization_targets,
    RepoRow.pinned,
    RepoRow.created_at,
    RepoRow.updated_at,
    RepoRow.last_synced_at,
)
_ORDER = (RepoRow.vendor_key, RepoRow.name_key, RepoRow.id)
_FIRST_PAGE = select(*_RECORD).where(_LIVING).order_by(*_ORDER).limit(bindparam("limit", type_=Integer))
_NEXT_PAGE = _FIRST_PAGE.where(
    tuple_(*_ORDER) > tuple_(bindparam("vendor"), bindparam("name"), bindparam("id"))
)


@cache
def _finding(*, vendor: bool, source: bool, forgotten: bool) -> Select[*tuple[Any, ...]]:
    """Those of a name; with `vendor` and `source` of those only."""
    state = RepoRow.deleted_at.is_not(None) if forgotten else _LIVING
    found = select(*_RECORD).where(RepoRow.name_key == bindparam("name"), state)
    if vendor:
        found = found.where(RepoRow.vendor_key == bindparam("vendor"))
    if source:
        found = found.where(RepoRow.source == bindparam("source"))
    return found.order_by(RepoRow.vendor_key, RepoRow.source)


def _unknown(record_id: int) -> RepositoryNotFound:
    return RepositoryNotFound(f"no repository has the number {record_id}", field="record")


def _spelling(repo: RepoId) -> dict[str, str]:
    return {"model_repo_name": repo.id, "model_vendor": repo.vendor, "model_name": repo.name}


def _record(row: RepoRow | SqlRow[*tuple[Any, ...]]) -> RepoRecord:
    return RepoRecord(
        id=row.id,
        repo=RepoId(source=row.source, vendor=row.model_vendor, name=row.model_name),
        source_uri=row.source_uri,
        default_branch=row.default_branch,
        git_head=row.git_head,
        sync_status=SyncStatus(row.sync_status),
        sync_error=row.sync_error,
        task_hints=tuple(row.task_hints),
        preferred_format=row.preferred_format,
        preferred_precision=row.preferred_precision,
        quantization_targets=tuple(row.quantization_targets),
        pinned=row.pinned,
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_synced_at=row.last_synced_at,
    )
