"""Commands, their options, and what they exit with: 0, 1 for an error, 2 for wrong usage."""

import io
import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from modelhub.cli import render
from modelhub.cli.adopt import adopt_hf_cache, export_hf_cache
from modelhub.cli.jobs import jobs, worker
from modelhub.cli.options import (
    AsJson,
    DeviceName,
    Model,
    RuntimeName,
    RuntimeOptions,
    Task,
    Trusted,
    VariantName,
    common,
)
from modelhub.cli.recipes import recipes
from modelhub.cli.remove import forget, purge
from modelhub.cli.search import search
from modelhub.cli.space import du, gc, pin, unpin
from modelhub.cli.store import store as store_commands
from modelhub.errors import ModelHubError

app = typer.Typer(
    name="modelhub",
    help="One import for every open model: know it, fetch it, prove it, run it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode=None,
)
db = typer.Typer(help="The registry's database.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(db, name="db")
app.add_typer(recipes, name="recipes")
app.add_typer(jobs, name="jobs")
app.add_typer(store_commands, name="store")


def main() -> None:
    """Run the command line of this process, and end it with an exit status."""
    _print_any_character()
    try:
        app()
    except Exception as error:
        if common.debug:
            raise
        render.failure(*_explained(error))
        _drop_stuck_output()
        sys.exit(1)


def _print_any_character() -> None:
    """An answer may have characters that this terminal's encoding lacks: they become escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _explained(error: Exception) -> tuple[str, str]:
    """What to tell of an error, and what to do about it."""
    if isinstance(error, ModelHubError):
        return error.message, error.hint
    seen = "`modelhub --debug …` shows where it happened"
    if isinstance(error, OSError) and error.strerror:
        # Nothing in modelhub lets one through: most likely it is the disk that standard output goes to.
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}", f"{seen}."
    first, _, _ = str(error).partition("\n")
    return f"{type(error).__name__}: {first}", f"{seen}; please report it."


def _drop_stuck_output() -> None:
    """Python tries again at the end to write what could not be written, and tells of it again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"modelhub {version('modelhub')}")
        raise typer.Exit


@app.callback()
def before(
    home: Annotated[Path | None, typer.Option(help="Folder for everything modelhub keeps.")] = None,
    database: Annotated[str | None, typer.Option(help="SQLAlchemy URL of the registry.")] = None,
    store: Annotated[str | None, typer.Option(help="URI of the artifact store.")] = None,
    offline: Annotated[bool | None, typer.Option("--offline/--online", help="Open no socket.")] = None,
    debug: Annotated[bool, typer.Option(help="Log everything, and show tracebacks.")] = False,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Set what all commands share."""
    common.home, common.database, common.store = home, database, store
    common.offline, common.debug = offline, debug
    if debug:
        logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(name)s: %(message)s")


def _options(pairs: list[str] | None) -> dict[str, Any]:
    """`NAME=VALUE` as names with values: JSON where it is JSON, else text."""
    options = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE, as in n_ctx=4096")
        options[name] = _json_or_text(value)
    return options


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value, parse_constant=_no_json)
    except ValueError:
        return value


def _no_json(constant: str) -> Any:
    """`NaN` and `Infinity`: Python's reader knows them, JSON does not."""
    raise ValueError(constant)


@app.command()
def register(
    model: Model,
    task: Annotated[list[str] | None, typer.Option(help="Task that it is for; may repeat.")] = None,
    preferred_format: Annotated[str | None, typer.Option(help="Such as gguf.")] = None,
    preferred_precision: Annotated[str | None, typer.Option(help="Such as q4_k_m.")] = None,
    quantization_target: Annotated[
        list[str] | None, typer.Option(help="Precision to take if it fits, the first best; may repeat.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Record a repository, without reading it yet. Again, with other wishes, it replaces those; an empty
    one ("") takes it back.
    """
    with common.hub() as hub:
        record = hub.register(
            model,
            task_hints=_wishes(task),
            preferred_format=preferred_format,
            preferred_precision=preferred_precision,
            quantization_targets=_wishes(quantization_target),
        )
    render.repos([record], as_json=as_json)


def _wishes(given: list[str] | None) -> tuple[str, ...] | None:
    """Those that are given; none where an empty one stands among them, which takes all back."""
    return None if given is None else tuple(given) if all(given) else ()


@app.command()
def sync(model: Model, as_json: AsJson = False) -> None:
    """Read what a repository is now: listing, metadata, headers."""
    with common.hub() as hub:
        render.fact(hub.sync(model), as_json=as_json)


@app.command()
def inspect(
    model: Model,
    refresh: Annotated[bool, typer.Option(help="Ask the source first.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is in a repository; fetches no weights."""
    with common.hub() as hub:
        render.fact(hub.inspect(model, refresh=refresh), as_json=as_json)


@app.command()
def plan(
    model: Model,
    task: Task = None,
    variant: VariantName = None,
    runtime: RuntimeName = None,
    device: DeviceName = None,
    option: RuntimeOptions = None,
    trust: Trusted = None,
    as_json: AsJson = False,
) -> None:
    """Show what would run, what must be fetched, and why."""
    options = _options(option)
    with common.hub() as hub:
        chosen = hub.plan(
            model,
            task=task,
            variant=variant,
            runtime=runtime,
            device=device,
            options=options,
            trust=trust,
        )
    render.fact(chosen, as_json=as_json)


@app.command()
def pull(model: Model, variant: VariantName = None, as_json: AsJson = False) -> None:
    """Fetch and verify a variant; prints the folder."""
    with common.hub() as hub:
        render.snapshot(hub.pull(model, variant=variant), as_json=as_json)


@app.command()
def verify(model: Model, variant: VariantName = None, as_json: AsJson = False) -> None:
    """Hash again what is here of a repository; exits 1 when a file is damaged or missing."""
    with common.hub() as hub:
        found = hub.verify(model, variant=variant)
    render.fact(found, as_json=as_json)
    if not found.ok:
        raise typer.Exit(1)


@app.command("allow-code")
def allow_code(
    model: Model,
    revoke: Annotated[bool, typer.Option("--revoke", help="Allow it no more.")] = False,
    as_json: AsJson = False,
) -> None:
    """Allow Python code of a repository to run, at its present commit; prints what was allowed.

    With --revoke it exits 1 when nothing was.
    """
    with common.hub() as hub:
        if not revoke:
            render.fact(hub.allow_code(model), as_json=as_json)
            return
        revoked = hub.revoke_code(model)
    render.revocation(model, revoked=revoked, as_json=as_json)
    if not revoked:
        raise typer.Exit(1)


@app.command("ls")
def list_repos(as_json: AsJson = False) -> None:
    """List the registered repositories."""
    with common.hub() as hub:
        render.repos(hub.repos(), as_json=as_json)


@app.command()
def revisions(model: Model, as_json: AsJson = False) -> None:
    """List what branches and tags of a repository have meant, and when."""
    with common.hub() as hub:
        render.refs(hub.revisions(model), as_json=as_json)


app.command()(search)
app.command()(forget)
app.command()(purge)
app.command()(du)
app.command("adopt-hf-cache")(adopt_hf_cache)
app.command("export-hf-cache")(export_hf_cache)
app.command()(gc)
app.command()(pin)
app.command()(unpin)
app.command()(worker)


@app.command()
def files(model: Model, as_json: AsJson = False) -> None:
    """List a repository's files."""
    with common.hub() as hub:
        render.files(hub.files(model), as_json=as_json)


@app.command()
def chat(
    model: Model,
    prompt: Annotated[
        str | None, typer.Argument(help="Text; - or nothing reads standard input.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="System message.")] = None,
    max_tokens: Annotated[int | None, typer.Option()] = None,
    temperature: Annotated[float | None, typer.Option()] = None,
    top_p: Annotated[float | None, typer.Option()] = None,
    top_k: Annotated[int | None, typer.Option()] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    stop: Annotated[
        list[str] | None, typer.Option(help="Text that ends the answer; may repeat.")
    ] = None,
    schema: Annotated[
        Path | None, typer.Option(help="File with the JSON schema that the answer must fit.")
    ] = None,
    variant: VariantName = None,
    runtime: RuntimeName = None,
    device: DeviceName = None,
    option: RuntimeOptions = None,
    trust: Trusted = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a chat model; without a prompt on a terminal, talk with it line by line."""
    from modelhub.cli.chat import Talk, read_schema

    params: dict[str, Any] = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "seed": seed,
        "stop": tuple(stop or ()),
        "response_format": None if schema is None else read_schema(schema),
        "variant": variant,
        "runtime": runtime,
        "device": device,
        "options": _options(option),
        "trust": trust,
        "timeout": timeout,
    }
    with common.hub() as hub:
        Talk(hub, model, system, params).run(prompt, as_json=as_json)


@app.command()
def embed(
    model: Model,
    text: Annotated[
        list[str] | None, typer.Argument(help="Texts; - or none reads a text a line.")
    ] = None,
    normalize: Annotated[
        bool | None,
        typer.Option("--normalize/--no-normalize", help="Vectors of length 1, or as they are."),
    ] = None,
    truncate: Annotated[bool, typer.Option(help="Cut texts that are too long.")] = False,
    prompt_name: Annotated[str | None, typer.Option(help="One of the repository's prompts.")] = None,
    variant: VariantName = None,
    runtime: RuntimeName = None,
    device: DeviceName = None,
    option: RuntimeOptions = None,
    trust: Trusted = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds.")] = None,
    as_json: AsJson = False,
) -> None:
    """Turn texts into vectors; prints one a line, as a JSON list of numbers."""
    from modelhub.cli.embed import gather, run

    params: dict[str, Any] = {
        "normalize": normalize,
        "truncate": truncate,
        "prompt_name": prompt_name,
        "variant": variant,
        "runtime": runtime,
        "device": device,
        "options": _options(option),
        "trust": trust,
        "timeout": timeout,
    }
    texts = gather(text or ())
    with common.hub() as hub:
        run(hub, model, texts, params, as_json=as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Show what works here, what does not, and what would change it."""
    from modelhub.hub.doctor import diagnose

    checkup = diagnose(**common.settings())
    render.fact(checkup, as_json=as_json)
    if not checkup.ok:
        raise typer.Exit(1)


@db.command()
def upgrade() -> None:
    """Bring the database's schema up to this modelhub."""
    from modelhub.hub.database import upgrade_database
    from modelhub.settings import Settings

    before, after = upgrade_database(Settings.from_env(**common.settings()))
    typer.echo(
        f"schema {after}, as before" if before == after else f"schema {before or 'empty'} -> {after}"
    )


@db.command()
def current(as_json: AsJson = False) -> None:
    """Show the database's schema and the one that this modelhub wants."""
    from modelhub.hub.database import schema_state
    from modelhub.settings import Settings

    render.mapping(schema_state(Settings.from_env(**common.settings())), as_json=as_json)
