"""Loaded models: rows with leases. All times are the database's."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from modelhub.facts import InstanceRecord, InstanceStatus, ProcessMark
from modelhub.registry.artifacts import StoreKey
from modelhub.registry.leases import Leases
from modelhub.registry.registry import Registry
from modelhub.registry.statements import now
from modelhub.registry.tables import (
    InstanceRow,
    LeaseRow,
    ModelRow,
    RepoRow,
    RevisionRow,
    VariantRow,
)
from modelhub.registry.tables.work import LIVE_STATES

__all__ = ["InstanceBook"]

_KEPT = timedelta(days=7)
"""How long one can look up that a model was lost."""


class InstanceBook:
    """The loaded models of all processes on one database (`modelhub.runtimes.ports.InstanceLedger`).

    `is_gone` says whether a process has ended, as far as this host can know. With a `store`, each has a
    lease on the files there that it was loaded from.
    """

    def __init__(
        self,
        registry: Registry,
        is_gone: Callable[[ProcessMark], bool],
        store: StoreKey | None = None,
    ) -> None:
        self._registry = registry
        self._is_gone = is_gone
        self._store = store

    def add(self, record: InstanceRecord, lease: float) -> int:
        """Write a loaded model down, for `lease` seconds; its number."""
        with self._registry.begin() as tx:
            moment = now(tx.session)
            model, variant = _rows(tx.session, record)
            row = InstanceRow(
                logical_model_id=model,
                model_variant_id=variant,
                status=InstanceStatus.IDLE,
                lease_until=moment + timedelta(seconds=lease),
                last_heartbeat_at=moment,
                last_used_at=moment,
                **_columns(record),
            )
            tx.session.add(row)
            tx.session.flush()
            if self._store is not None and record.artifacts:
                process = record.process
                tx.leases.take(
                    None,
                    store=self._store,
                    owner=f"{process.host}:{process.pid}:instance-{row.id}",
                    host=process.host,
                    boot_id=process.boot_id,
                    purpose=_purpose(row.id),
                    seconds=lease,
                    digests=record.artifacts,
                )
            return row.id

    def beat(self, states: Mapping[int, InstanceStatus], lease: float) -> None:
        """Renew the leases of these, and say what they do."""
        with self._registry.begin() as tx:
            moment = now(tx.session)
            until = moment + timedelta(seconds=lease)
            for status in InstanceStatus:
                mine = [number for number, state in states.items() if state is status]
                values: dict[str, Any] = {
                    "status": status,
                    "lease_until": until,
                    "last_heartbeat_at": moment,
                }
                if status is InstanceStatus.BUSY:
                    values["last_used_at"] = moment
                tx.session.execute(update(InstanceRow).where(InstanceRow.id.in_(mine)).values(values))
            tx.session.execute(update(LeaseRow).where(_of(states)).values(expires_at=until))

    def remove(self, number: int) -> None:
        """It was unloaded."""
        with self._registry.begin() as tx:
            tx.session.execute(delete(InstanceRow).where(InstanceRow.id == number))
            _let_go(tx.session, [number])

    def reap(self) -> None:
        """Mark those as lost whose process is gone, or whose lease is over; forget the oldest lost."""
        with self._registry.read() as tx:
            moment = now(tx.session)
            rows = tx.session.scalars(select(InstanceRow)).all()
        live = [row for row in rows if row.status in LIVE_STATES]
        lost = [row.id for row in live if row.lease_until < moment or self._is_gone(_mark(row))]
        old = [
            row.id
            for row in rows
            if row.status not in LIVE_STATES and row.last_heartbeat_at < moment - _KEPT
        ]
        if lost or old:
            with self._registry.begin() as tx:
                dead = InstanceRow.id.in_(lost) & InstanceRow.status.in_(LIVE_STATES)
                tx.session.execute(update(InstanceRow).where(dead).values(status="lost"))
                _let_go(tx.session, lost)
                tx.session.execute(delete(InstanceRow).where(InstanceRow.id.in_(old)))


def _purpose(number: int) -> str:
    """What the lease of an instance is for: so it is found again."""
    return f"loaded model {number}"


def _of(numbers: Iterable[int]) -> ColumnElement[bool]:
    """The leases of these instances."""
    return LeaseRow.purpose.in_([_purpose(number) for number in numbers])


def _let_go(session: Session, numbers: Sequence[int]) -> None:
    """What they were loaded from was used until now, and they need it no more."""
    leases = session.scalars(select(LeaseRow.id).where(_of(numbers))).all()
    for number in leases:
        Leases(session).release(number)


def _columns(record: InstanceRecord) -> dict[str, Any]:
    process = record.process
    return {
        "variant_digest": record.digest,
        "config_hash": record.config,
        "model_filename": record.filename,
        "runtime_type": record.runtime,
        "runtime_version": record.runtime_version,
        "host": process.host,
        "boot_id": process.boot_id,
        "pid": process.pid,
        "pid_started_ticks": process.started,
        "device": record.device,
        "predicted_bytes": record.predicted_bytes,
        "measured_bytes": record.measured_bytes,
    }


def _mark(row: InstanceRow) -> ProcessMark:
    return ProcessMark(host=row.host, boot_id=row.boot_id, pid=row.pid, started=row.pid_started_ticks)


def _rows(session: Session, record: InstanceRecord) -> tuple[int | None, int | None]:
    """The ids of the model and of its variant, if they are (still) there."""
    found = session.execute(
        select(ModelRow.id, VariantRow.id)
        .join(VariantRow, VariantRow.logical_model_id == ModelRow.id)
        .join(RevisionRow, ModelRow.revision_id == RevisionRow.id)
        .join(RepoRow, RevisionRow.model_repo_id == RepoRow.id)
        .where(
            RepoRow.source == record.source,
            RepoRow.model_repo_name == record.repo,
            RevisionRow.commit_hash == record.commit,
            ModelRow.model_name == record.model,
            VariantRow.variant_name == record.variant,
        )
    ).first()
    return (None, None) if found is None else (found[0], found[1])
