"""Facts as tables or JSON on standard output; failures on standard error."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from modelhub.facts import Fact, Job, JobKind, ModelPage, RepoFile, RepoRecord, RepoRef, Snapshot
from modelhub.facts.base import human_bytes, table

if TYPE_CHECKING:
    from modelhub.hub.recipes import RecipeMatch, RecipeView

F = TypeVar("F", bound=Fact)

_USUAL_SOURCE = "huggingface"
_SHORT = 12
"""Characters of a hash that tell it from others, as git shows them; JSON has it whole."""

_LONG_HASH = re.compile(r"\b[0-9a-f]{40,64}\b")


def failure(message: str, hint: str) -> None:
    """What went wrong and what to do, in red where there is colour."""
    typer.secho(f"error: {message}", fg=typer.colors.RED, err=True)
    if hint:
        typer.echo(hint, err=True)


def fact(value: Fact, *, as_json: bool) -> None:
    """Any report."""
    typer.echo(_json(value.model_dump(mode="json")) if as_json else str(value))


def mapping(value: Mapping[str, Any], *, as_json: bool) -> None:
    """Names and values."""
    typer.echo(_json(value) if as_json else table(("", ""), value.items()).lstrip())


def repos(records: Sequence[RepoRecord], *, as_json: bool) -> None:
    """Registered repositories; below each, what was wished for at registration, and why a sync failed."""
    _facts(
        records,
        ("repository", "status", "commit", "synced"),
        lambda r: (
            r.repo.id if r.repo.source == _USUAL_SOURCE else f"{r.repo.source}://{r.repo.id}",
            r.sync_status,
            (r.git_head or "")[:_SHORT],
            _when(r.last_synced_at),
        ),
        below=_wishes,
        as_json=as_json,
    )


def models(page: ModelPage, *, as_json: bool) -> None:
    """A page of models; where the next one begins stands beside it."""
    if as_json:
        fact(page, as_json=True)
        return
    typer.echo(page.table() if page.models else "none", err=not page.models)
    if page.next is not None:
        typer.echo(f"more: --after {page.next}", err=True)


def files(listed: Sequence[RepoFile], *, as_json: bool) -> None:
    """A repository's files. Paths may be long, so they stand last."""
    _facts(
        listed,
        ("kind", "size", "sha256", "path"),
        lambda f: (f.kind, human_bytes(f.size), (f.sha256 or "")[:_SHORT], f.path),
        as_json=as_json,
    )


def refs(found: Sequence[RepoRef], *, as_json: bool) -> None:
    """What branches and tags meant."""
    _facts(
        found,
        ("name", "commit", "first seen", "last seen"),
        lambda ref: (ref.name, ref.commit[:_SHORT], _when(ref.first_seen_at), _when(ref.last_seen_at)),
        as_json=as_json,
    )


def jobs(rows: Sequence[Job], *, as_json: bool) -> None:
    """Jobs; below each, what it works on and why it failed."""
    _facts(
        rows,
        ("job", "kind", "status", "progress", "started"),
        lambda j: (j.id, j.kind, j.status, _share(j), _when(j.started_at)),
        below=_about,
        as_json=as_json,
    )


def recipes(found: Sequence["RecipeView"], *, as_json: bool) -> None:
    """Recipes, and below those that stand in for others, for which."""
    _facts(
        found,
        ("recipe", "tasks", "from"),
        lambda r: (r.name, ", ".join(r.tasks), r.origin),
        below=lambda r: [f"in place of that of {r.overrides}"] if r.overrides else [],
        as_json=as_json,
    )


def recipe_matches(found: Sequence["RecipeMatch"], *, as_json: bool) -> None:
    """The recipes for a repository."""
    _facts(
        found,
        ("recipe", "from", "by"),
        lambda each: (each.name, each.origin, each.why),
        as_json=as_json,
    )


def snapshot(pulled: Snapshot, *, as_json: bool) -> None:
    """A folder of verified files: its path alone on standard output, the rest beside it."""
    if as_json:
        fact(pulled, as_json=True)
        return
    typer.echo(pulled.path)
    moved, kept = human_bytes(pulled.fetched_bytes), human_bytes(pulled.reused_bytes)
    count = len(pulled.files) + sum(len(other.files) for other in pulled.others)
    typer.echo(f"{count} files, {moved} fetched, {kept} were here", err=True)
    for other in pulled.others:
        typer.echo(f"{len(other.files)} of them are of {other.repo}: {other.path}", err=True)


def revocation(model: str, *, revoked: bool, as_json: bool) -> None:
    """Whether code that was allowed no longer is."""
    if as_json:
        mapping({"model": model, "revoked": revoked}, as_json=True)
    elif revoked:
        typer.echo(f"{model} may no longer run code of its own at its present commit")
    else:
        failure(
            f"no code of {model} was allowed at its present commit",
            "Another commit is named behind the repository, as in vendor/name@COMMIT.",
        )


def _json(value: Any) -> str:
    """ASCII alone, so that it is JSON in any encoding of the terminal."""
    return json.dumps(value, indent=2)


def _facts(
    rows: Sequence[F],
    headers: Sequence[str],
    cells: Callable[[F], Sequence[object]],
    *,
    below: Callable[[F], Iterable[str]] = lambda _: (),
    as_json: bool,
) -> None:
    if as_json:
        typer.echo(_json([row.model_dump(mode="json") for row in rows]))
    elif not rows:
        typer.echo("none", err=True)
    else:
        head, *lines = table(headers, map(cells, rows)).splitlines()
        typer.echo(head)
        for line, row in zip(lines, rows, strict=True):
            typer.echo("\n".join([line, *(f"     {more}" for more in below(row))]))


def _wishes(record: RepoRecord) -> Iterable[str]:
    if record.task_hints:
        yield f"for {', '.join(record.task_hints)}"
    wished = (record.preferred_format, record.preferred_precision, *record.quantization_targets)
    if any(wished):
        yield f"rather {', '.join(dict.fromkeys(wish for wish in wished if wish))}"
    if record.sync_error:
        yield str(record.sync_error.get("message", "")).partition("\n")[0]


def _about(job: Job) -> Iterable[str]:
    first = "repo" if "repo" in job.input else "model"
    names = (job.input.get(name) for name in ("ref", first, "commit", "variant"))
    subject = " ".join(str(name) for name in names if name) or job.key
    yield _LONG_HASH.sub(lambda found: found[0][:_SHORT], subject)
    if job.error:
        yield str(job.error.get("message", "")).partition("\n")[0]


def _share(job: Job) -> str:
    # A sync counts files and bytes by turns.
    if not job.total or job.kind in {JobKind.REPO_SYNC, JobKind.SYNC}:
        return ""
    if job.unit != "bytes":
        return f"{job.done:,} of {job.total:,} {job.unit}"
    return f"{human_bytes(job.done)} of {human_bytes(job.total)}"


def _when(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M") if moment else ""
