"""`Hub`: every open model behind one object."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Literal, Self, Unpack, overload

from modelhub.errors import InvalidInput
from modelhub.facts import (
    Device,
    LicensePolicy,
    ModelPage,
    Plan,
    RepoFile,
    RepoRecord,
    RepoRef,
    Report,
    RuntimeView,
    Snapshot,
)
from modelhub.hub.calls import Calls
from modelhub.hub.doctor import Checkup, examine
from modelhub.hub.finding import Finder
from modelhub.hub.how import (
    ChatParams,
    Common,
    EmbedParams,
    How,
    Model,
    Shown,
    check_precision,
    each,
)
from modelhub.hub.pickles import Trust, read_trust
from modelhub.hub.upkeep import Upkeep
from modelhub.hub.wiring import wire
from modelhub.planner import Wish
from modelhub.refs import ModelRef
from modelhub.runtimes import devices
from modelhub.settings import Settings
from modelhub.store import Level, LinkChoice, known_level, known_link_mode
from modelhub.tasks import (
    ChatChunk,
    ChatReply,
    EmbedResult,
    MessageInput,
    Request,
    Result,
    TextInput,
    as_class,
    chat_request,
    embed_request,
    find_task,
)
from modelhub.tasks.stream import Stream


class Hub(Upkeep):
    """One import for every open model.

    Keeps what it knows in a database and the bytes in a store, both in the user's data folder
    unless told otherwise. Safe to share between threads; close it, or use it in a `with` block.

    Parameters are the commonest of `Settings`, or one `Settings` with any of them; each can also come from
    the environment (docs/reference/settings.md). `progress` shows long work: `None` on a terminal or in a
    notebook only, `True` always, `False` never, or a function that gets each `Progress`.

    Raises:
        InvalidInput: for a setting that cannot be.
        DatabaseUnavailable, SchemaMismatch, StoreUnavailable: before anything is done.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        home: str | os.PathLike[str] | None = None,
        database: str | None = None,
        store: str | os.PathLike[str] | None = None,
        offline: bool | None = None,
        host: str | None = None,
        verify: str | None = None,
        license_policy: LicensePolicy | str | None = None,
        progress: Shown = None,
    ) -> None:
        given = {"home": home, "database": database, "store": store, "offline": offline, "host": host}
        self.settings = Settings.chosen(settings, **given, verify=verify, license_policy=license_policy)
        self._progress = progress
        self._calls = Calls()
        with ExitStack() as undo:
            rooms = wire(self.settings, self._calls, undo, progress)
            self._close = undo.pop_all()
        self._registry, self._resolver, self._serving = rooms.registry, rooms.resolver, rooms.serving
        self._code, self._verifier, self._answering = rooms.code, rooms.verifier, rooms.answering
        self._purger, self._adopter, self._exporter = rooms.purger, rooms.adopter, rooms.exporter
        self.jobs, self.recipes, self.store = rooms.jobs, rooms.recipes, rooms.storekeeping

    # What is there

    def register(
        self,
        model: Model,
        *,
        task_hints: tuple[str, ...] | None = None,
        preferred_format: str | None = None,
        preferred_precision: str | None = None,
        quantization_targets: tuple[str, ...] | None = None,
    ) -> RepoRecord:
        """Record a repository and return; `sync` reads it.

        Registering again replaces the wishes that are given; `""` and `()` take one back.

        Raises:
            InvalidInput: for an unknown task or precision.
        """
        precision = preferred_precision and check_precision("preferred_precision", preferred_precision)
        with self._calls.serve():
            return self._resolver.register(
                ModelRef.parse(model),
                task_hints=each(task_hints, lambda task: find_task(task).id),
                preferred_format=preferred_format,
                preferred_precision=precision,
                quantization_targets=each(
                    quantization_targets, lambda name: check_precision("quantization_targets", name)
                ),
            )

    def sync(self, model: Model, *, timeout: float | None = None, progress: Shown = None) -> Report:
        """Ask the source what the repository is now, and wait. Fetches metadata, no weights."""
        ref = ModelRef.parse(model)
        with self._calls.serve(timeout) as call, self._shown(progress) as show:
            return self._resolver.sync(ref, call, show).report

    def inspect(
        self,
        model: Model,
        *,
        refresh: bool = False,
        timeout: float | None = None,
        progress: Shown = None,
    ) -> Report:
        """What is in a repository: models, variants, components, license. No weights are fetched."""
        ref = ModelRef.parse(model)
        with self._calls.serve(timeout) as call, self._shown(progress) as show:
            target = self._resolver.resolve(ref, call, show, refresh=refresh)
            return self._serving.planning.pickles.told(self._resolver.with_sharing(target))

    def plan(
        self,
        model: Model,
        *,
        task: str | None = None,
        variant: str | None = None,
        runtime: str | None = None,
        device: str | None = None,
        options: Mapping[str, Any] | None = None,
        trust: Trust | None = None,
    ) -> Plan:
        """What would run where, what must be fetched for it, and why. Fetches nothing.

        `trust` names pickles by their SHA-256 that may run code (docs/how-to/pickles.md).
        """
        trusted = read_trust(trust)
        ref = ModelRef.parse(model)
        with self._calls.serve() as call, self._shown(None) as show:
            self._serving.planning.check_names(runtime, device)
            target = self._resolver.resolve(ref, call, show)
            wish = Wish(task, target.tags, variant, runtime)
            return self._serving.planning.plan(target, wish, device, options or {}, trust=trusted)

    def pull(
        self,
        model: Model,
        *,
        task: str | None = None,
        variant: str | None = None,
        verify: Level | None = None,
        link_mode: LinkChoice | None = None,
        timeout: float | None = None,
        progress: Shown = None,
    ) -> Snapshot:
        """A folder with the best variant's files (or the named one's), fetched and verified.

        Without a name the best quality is taken that fits this machine's memory. `verify` says how much is
        read of what is here already (`proof`, `full`, `off`; by default as the Hub's setting says); what
        turns out to be damaged is put aside and fetched anew. `link_mode` is how large files come into the
        folder, whatever the Hub's setting says (`hardlink`, `symlink`, `reflink`, `copy`, `auto`).

        Raises:
            LicenseRefused: by the Hub's `license_policy`; nothing is fetched.
            IntegrityError: a file is damaged, and no source gives it.
            InvalidInput: the store's file system has no such links; nothing is fetched.
        """
        ref = ModelRef.parse(model)
        if verify is not None:
            known_level(verify, "verify")
        if link_mode is not None:
            known_link_mode(link_mode)
        with self._calls.serve(timeout) as call, self._shown(progress) as show:
            target = self._resolver.resolve(ref, call, show)
            plan = self._serving.planning.plan(
                target, Wish(task, target.tags, variant), None, {}, whole=True
            )
            return self._serving.loading.pull(target, plan, call, show, verify, link_mode)

    def files(self, model: Model) -> tuple[RepoFile, ...]:
        """Every file of a repository, fetched or not."""
        ref = ModelRef.parse(model)
        with self._calls.serve() as call, self._shown(None) as show:
            return self._resolver.listing(self._resolver.resolve(ref, call, show)).files

    def revisions(self, model: Model, *, limit: int = 1000) -> tuple[RepoRef, ...]:
        """What the branches and tags of a known repository have meant, and when. Asks nobody.

        The latest first. Each commit stays known as `model@commit`, with its files, also when it has
        vanished at its source.

        Raises:
            RepositoryNotFound, AmbiguousReference: for what is not known here.
        """
        ref = ModelRef.parse(model)
        _check_limit(limit)
        with self._calls.serve():
            record = self._resolver.registered(ref)
            with self._registry.read() as tx:
                return tx.revisions.history(record.id, limit)

    def repos(self, *, limit: int = 1000) -> tuple[RepoRecord, ...]:
        """The registered repositories, by vendor and name."""
        _check_limit(limit)
        with self._calls.serve(), self._registry.read() as tx:
            return tx.repos.list(limit=limit)

    def models(
        self,
        text: str | None = None,
        *,
        task: str | None = None,
        vendor: str | None = None,
        format: str | None = None,  # noqa: A002 - what variants call it
        precision: str | None = None,
        license: str | None = None,  # noqa: A002 - what reports call it
        min_bytes: int | str | None = None,
        max_bytes: int | str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> ModelPage:
        """The known models that are all of this, by repository and name, a page at a time.

        Each word of `text` begins a word of the repository's or the model's name. One variant at least
        has the format, the precision and a size between the bounds (`8_000_000_000` or `"8GB"`).
        `after` is the `next` of the page before. Asks nobody: what counts is what the default branch
        was when it was last synced.

        Raises:
            InvalidInput: for an unknown task or precision, no size, an `after` that is no page's.
        """
        filters = {"text": text, "task": task, "vendor": vendor, "format": format, "license": license}
        sizes = {"precision": precision, "min_bytes": min_bytes, "max_bytes": max_bytes}
        with self._calls.serve():
            return Finder(self._registry).page(limit, after, **filters, **sizes)

    def runtimes(self) -> tuple[RuntimeView, ...]:
        """The runtimes that are installed or could be, and what each lacks."""
        return self._serving.planning.runtimes.views()

    def devices(self) -> tuple[Device, ...]:
        """What models could run on, with the memory that is free now."""
        return devices()

    def doctor(self) -> Checkup:
        """What works here, what does not, and the command that would change it."""
        return examine(self.settings)

    # Verbs

    @overload
    def chat(
        self,
        model: Model | None,
        messages: MessageInput,
        /,
        *,
        stream: Literal[False] = False,
        **params: Unpack[ChatParams],
    ) -> ChatReply: ...

    @overload
    def chat(
        self,
        model: Model | None,
        messages: MessageInput,
        /,
        *,
        stream: Literal[True],
        **params: Unpack[ChatParams],
    ) -> Stream[ChatChunk]: ...

    @overload
    def chat(
        self,
        model: Model | None,
        messages: MessageInput,
        /,
        *,
        stream: bool,
        **params: Unpack[ChatParams],
    ) -> ChatReply | Stream[ChatChunk]: ...

    def chat(
        self,
        model: Model | None,
        messages: MessageInput,
        /,
        *,
        stream: bool = False,
        **params: Unpack[ChatParams],
    ) -> ChatReply | Stream[ChatChunk]:
        """Answer a text, or a conversation of OpenAI-style messages.

        `params`: `max_tokens temperature top_p top_k seed stop response_format`, and what every verb takes:
        `variant runtime device timeout options progress trust`. With `stream=True` the pieces come as
        they are written; leaving the loop stops the engine.

        Raises:
            InvalidInput: for empty messages, an unknown role, a parameter out of range.
            OutputInvalid: for an answer that is not what `response_format` says.
            ContextTooLong, RepositoryNotFound, VariantNotFound, TaskNotSupported,
            RuntimeNotInstalled, LicenseRefused, PickleRefused, DoesNotFit, IntegrityError,
            DeadlineExceeded
        """
        how, sampling = How.take(params)
        request = chat_request(messages, **sampling)
        if stream:
            return self._stream("text-generation", model, request, how)
        reply = self._run("text-generation", model, request, how)
        assert isinstance(reply, ChatReply)
        return as_class(reply, sampling.get("response_format"))

    def embed(
        self, model: Model | None, texts: TextInput, /, **params: Unpack[EmbedParams]
    ) -> EmbedResult:
        """A vector for each text: `.vectors` is a float32 array of shape (texts, dimensions).

        `params`: `normalize truncate prompt_name`, and what every verb takes: `variant runtime device
        timeout options progress trust`. Pooling, normalisation and prompts are the repository's own.

        Raises:
            InvalidInput: for no texts, an empty one, a prompt that the repository does not have.
            ContextTooLong: for a text longer than the model takes, unless `truncate`.
            RepositoryNotFound, VariantNotFound, TaskNotSupported, RuntimeNotInstalled,
            LicenseRefused, PickleRefused, DoesNotFit, IntegrityError, DeadlineExceeded
        """
        how, rest = How.take(params)
        result = self._run("feature-extraction", model, embed_request(texts, **rest), how)
        assert isinstance(result, EmbedResult)
        return result

    def run(
        self, task: str, model: Model | None, request: Request, /, **params: Unpack[Common]
    ) -> Result:
        """Serve a typed request of any task; the verbs are this with a request made for them."""
        return self._run(task, model, request, How.only(params))

    def stream(
        self, task: str, model: Model | None, request: Request, /, **params: Unpack[Common]
    ) -> Stream[Any]:
        """Serve a typed request piece by piece."""
        return self._stream(task, model, request, How.only(params))

    def _run(self, task: str, model: Model | None, request: Request, how: How) -> Result:
        return self._answering.run(task, model, request, how, self._shown(how.progress))

    def _stream(self, task: str, model: Model | None, request: Request, how: How) -> Stream[Any]:
        return self._answering.stream(task, model, request, how, self._shown(how.progress))

    # Life

    def close(self) -> None:
        """Stop what is running, unload every model, close the database. Safe to call twice."""
        if self._calls.close():
            self._close.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._calls.closed else "open"
        return f"<Hub {self._registry.url} {self.settings.store} {state}>"


def _check_limit(limit: int) -> None:
    if limit < 1:
        raise InvalidInput(f"limit must be at least 1, not {limit}", field="limit")
