"""What was asked, by whom it was answered and how it ended."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelhub.facts import CallRecord
from modelhub.registry.tables import InferenceLogRow, InstanceRow

__all__ = ["Calls"]


class Calls:
    """The log of calls."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, records: Sequence[CallRecord]) -> None:
        """Write down calls that have ended."""
        numbers = {record.instance for record in records if record.instance is not None}
        found = select(InstanceRow.id, InstanceRow.logical_model_id).where(InstanceRow.id.in_(numbers))
        models = {row.id: row.logical_model_id for row in self._session.execute(found)}
        self._session.add_all(InferenceLogRow(**_columns(record, models)) for record in records)
        self._session.flush()

    def list(self, limit: int = 100) -> tuple[CallRecord, ...]:
        """The last calls, newest first."""
        rows = select(InferenceLogRow).order_by(InferenceLogRow.id.desc()).limit(limit)
        return tuple(_fact(row) for row in self._session.scalars(rows))


def _columns(record: CallRecord, models: dict[int, int | None]) -> dict[str, Any]:
    return {
        "timestamp": record.timestamp,
        "request_id": record.request_id,
        "logical_model_id": models.get(record.instance) if record.instance is not None else None,
        "runtime_instance_id": record.instance if record.instance in models else None,
        "model_repo_name": record.repo,
        "commit_hash": record.commit,
        "variant": record.variant,
        "variant_digest": record.digest,
        "model_filename": record.filename,
        "runtime_type": record.runtime,
        "task_type": record.task,
        "latency_ms": record.latency_ms,
        "input_size": record.input_size,
        "output_size": record.output_size,
        "timings": record.timings,
        "status": record.status,
        "error_type": record.error_type,
        "error_message": record.error_message,
    }


def _fact(row: InferenceLogRow) -> CallRecord:
    return CallRecord(
        timestamp=row.timestamp,
        request_id=row.request_id,
        task=row.task_type,
        repo=row.model_repo_name,
        commit=row.commit_hash,
        variant=row.variant,
        digest=row.variant_digest,
        filename=row.model_filename,
        runtime=row.runtime_type,
        instance=row.runtime_instance_id,
        latency_ms=row.latency_ms,
        input_size=row.input_size,
        output_size=row.output_size,
        timings=row.timings,
        status=row.status,  # type: ignore[arg-type]
        error_type=row.error_type,
        error_message=row.error_message,
    )
