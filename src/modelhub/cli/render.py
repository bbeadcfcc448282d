"""Facts as tables or JSON on standard output; failures on standard error."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import typer

from modelhub.facts import Fact, Job, RepoFile, RepoRecord, Snapshot
from modelhub.facts.base import human_bytes, table


def failure(message: str, hint: str) -> None:
    """What went wrong and what to do, in red where there is colour."""
    typer.secho(f"error: {message}", fg=typer.colors.RED, err=True)
    if hint:
        typer.echo(hint, err=True)


def fact(value: Fact, *, as_json: bool) -> None:
    """Any report."""
    typer.echo(value.model_dump_json(indent=2) if as_json else str(value))


def mapping(value: Mapping[str, Any], *, as_json: bool) -> None:
    """Names and values."""
    typer.echo(json.dumps(value, indent=2) if as_json else table(("", ""), value.items()).lstrip())


def repos(records: Sequence[RepoRecord], *, as_json: bool) -> None:
    """Registered repositories."""
    _facts(
        records,
        ("repository", "source", "status", "commit", "synced"),
        lambda r: (
            r.repo.id,
            r.repo.source,
            r.sync_status,
            (r.git_head or "")[:12],
            _when(r.last_synced_at),
        ),
        as_json=as_json,
    )


def files(listed: Sequence[RepoFile], *, as_json: bool) -> None:
    """A repository's files."""
    _facts(
        listed,
        ("path", "kind", "size", "sha256"),
        lambda f: (f.path, f.kind, human_bytes(f.size), f.sha256 or ""),
        as_json=as_json,
    )


def jobs(rows: Sequence[Job], *, as_json: bool) -> None:
    """Jobs, with the error of those that failed."""
    _facts(
        rows,
        ("job", "kind", "status", "progress", "started", "key", "error"),
        lambda j: (j.id, j.kind, j.status, _share(j), _when(j.started_at), j.key, _message(j)),
        as_json=as_json,
    )


def snapshot(pulled: Snapshot, *, as_json: bool) -> None:
    """A folder of verified files: its path alone on standard output, the rest beside it."""
    if as_json:
        typer.echo(pulled.model_dump_json(indent=2))
        return
    typer.echo(pulled.path)
    moved, kept = human_bytes(pulled.fetched_bytes), human_bytes(pulled.reused_bytes)
    typer.echo(f"{len(pulled.files)} files, {moved} fetched, {kept} were here", err=True)


def _facts(rows: Sequence[Fact], headers: Sequence[str], cells: Any, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([row.model_dump(mode="json") for row in rows], indent=2))
    elif rows:
        typer.echo(table(headers, _rows(rows, cells)))
    else:
        typer.echo("none", err=True)


def _rows(rows: Iterable[Fact], cells: Any) -> Iterable[Sequence[object]]:
    return (cells(row) for row in rows)


def _share(job: Job) -> str:
    return f"{human_bytes(job.done)} of {human_bytes(job.total)}" if job.total else ""


def _message(job: Job) -> str:
    return str(job.error.get("message", "")).partition("\n")[0][:80] if job.error else ""


def _when(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""
