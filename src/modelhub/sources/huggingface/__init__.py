"""The Hugging Face hub, or a mirror of it.

Everything comes over our own transport, which bounds what it reads and keeps the token to the hub's
exact origin on every page and redirect. huggingface_hub says where the hub is, which token to use and
whether it may be asked at all.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from typing import ClassVar, Literal
from urllib.parse import quote

from modelhub.errors import (
    IntegrityError,
    InvalidInput,
    InvalidReference,
    ModelHubError,
    Offline,
    RepositoryNotFound,
    RevisionNotFound,
    SourceError,
)
from modelhub.facts import RepoFile, RepoId, RepoListing
from modelhub.refs import ModelRef
from modelhub.sources.base import ByteStream, Known, Reader, Source
from modelhub.sources.cards import clean_card, clean_name, clean_tags, license_name
from modelhub.sources.huggingface import xet
from modelhub.sources.huggingface.info import MAX_INFO, Info, info_path, read_info
from modelhub.sources.huggingface.refusals import Asked
from modelhub.sources.huggingface.tree import (
    MAX_ENTRIES,
    checked_files,
    is_commit,
    page_files,
    parse_json,
    ref_names,
    too_many,
    unusable,
)
from modelhub.sources.names import nearest
from modelhub.sources.transport import Address, Request, Stop, Stream, Transport, Version, redact

LOG = logging.getLogger(__name__)

# Bytes. An entry with all its hashes is 330 and its path, one without some 110: a mirror can give
# 20,000 of the longest in one page, and pages of any size hold MAX_ENTRIES in all.
_MAX_PAGE = 8 << 20
_MAX_TREE = 64 << 20
_MAX_PAGES = 10_000
_MAX_REFS = 4 << 20  # bytes


class HuggingFaceSource(Source):
    """Model repositories of `endpoint`.

    `endpoint` and `token` are huggingface_hub's own when `None`, which it takes from `HF_ENDPOINT`
    and from `HF_TOKEN` or the login. An empty `token` asks as a stranger.
    `use_xet` lets hf-xet fetch what the hub keeps in Xet, where it is installed.

    Raises:
        InvalidInput: for an endpoint that is not an http address.
    """

    name: ClassVar[str] = "huggingface"
    aliases: ClassVar[tuple[str, ...]] = ("hf",)

    def __init__(
        self,
        endpoint: str | None = None,
        token: str | Literal[False] | None = None,
        *,
        transport: Transport | None = None,
        use_xet: bool = False,
    ) -> None:
        self._endpoint = None if endpoint is None else _checked_endpoint(endpoint)
        self._given_token = token
        self._transport = transport or Transport()
        self._xet = xet.Xet() if use_xet and xet.is_usable() else None

    @property
    def endpoint(self) -> str:
        """The address that repositories are asked for at, without a slash at the end."""
        if self._endpoint is None:
            from huggingface_hub import constants

            self._endpoint = _checked_endpoint(constants.ENDPOINT)
        return self._endpoint

    def uri(self, ref: ModelRef) -> str:
        return f"{self.endpoint}/{ref.id}"

    def describe(self, ref: ModelRef) -> RepoListing:
        return self.describe_known(ref, lambda _repo, _commit: None)

    def describe_known(self, ref: ModelRef, known: Known) -> RepoListing:
        """One request for a commit whose files are known; two and more for another."""
        if ref.path is not None:
            raise InvalidReference(
                f"{ref.path!r} is a path of this machine",
                hint="A repository of the hub is named vendor/name.",
                field="model",
            )
        if ref.vendor == "local":
            raise RepositoryNotFound(
                f"{ref.id} is no repository of the hub: the vendor local is this machine",
                hint="Its folders are named by their paths, as in ./folder.",
                repo=ref.id,
            )
        ModelRef.parse(ref.id)  # a reference that was not parsed may have any name
        asked, token = self._asked(ref.id, ref.revision)
        try:
            info = self._info(asked, token)
        except RevisionNotFound as error:
            raise self._with_choices(error, asked, token) from None
        listing = self._listing(info, asked, token, known)
        LOG.info(
            "%s is at commit %s with %d files",
            listing.repo.id,
            listing.commit,
            len(listing.files),
            extra={
                "event": "repo_described",
                "model_repo_name": listing.repo.id,
                "revision": listing.revision,
                "commit": listing.commit,
            },
        )
        return listing

    def read(self, listing: RepoListing, file: RepoFile, start: int, end: int) -> bytes:
        end = min(end, file.size)
        if start >= end:
            return b""
        data = bytearray(end - start)
        view, done = memoryview(data), 0
        with self._stream(listing, file, start, end, Version(), Stop()) as stream:
            while done < len(data) and (count := stream.readinto(view[done:])):
                done += count
        return bytes(view[:done])

    def open(
        self, listing: RepoListing, file: RepoFile, start: int = 0, end: int | None = None
    ) -> AbstractContextManager[ByteStream]:
        return self.reader(listing, file).open(start, end)

    def reader(self, listing: RepoListing, file: RepoFile) -> Reader:
        """Over Xet where the hub keeps the file so, else by ranges of HTTP."""
        plain = HubReader(file, partial(self._stream, listing, file))
        if self._xet is None or file.xet_hash is None or file.size < xet.SMALLEST:
            return plain
        key = f"{listing.repo.id}@{listing.commit}"
        return xet.XetReader(self._xet, key, partial(self._access, listing), file, plain)

    def close(self) -> None:
        self._transport.close()

    def _access(self, listing: RepoListing) -> xet.Access:
        """What opens the Xet storage of a repository; asked of the hub."""
        asked, token = self._asked(listing.repo.id, listing.commit)
        path = f"api/models/{quote(asked.repo)}/xet-read-token/{listing.commit}"
        request = self._request(path, asked, token)
        page = self._transport.page(request, MAX_INFO)
        return xet.Access.of(page.headers, request.address.url, request.headers)

    def _stream(
        self,
        listing: RepoListing,
        file: RepoFile,
        start: int,
        end: int | None,
        version: Version,
        stop: Stop,
    ) -> Stream:
        asked, token = self._asked(listing.repo.id, listing.commit, file.path)
        path = f"{quote(asked.repo)}/resolve/{listing.commit}/{quote(file.path)}"
        request = replace(self._request(path, asked, token), stop=stop)
        stream = self._transport.stream(request, start, end, version)
        if stream.total not in (None, file.size):
            stream.close()
            raise IntegrityError(
                f"{file.path} has {stream.total} bytes at its source where the listing of "
                f"{asked.repo} says {file.size}",
                hint="The source contradicts itself; sync the repository again.",
                path=file.path,
                expected=file.size,
                actual=stream.total,
            )
        return stream

    def _info(self, asked: Asked, token: str | None) -> Info:
        request = self._request(info_path(asked.repo, asked.revision), asked, token)
        return read_info(self._transport.page(request, MAX_INFO).body, str(request.address))

    def _listing(self, info: Info, asked: Asked, token: str | None, known: Known) -> RepoListing:
        what = f"{asked.endpoint}/api/models/{asked.repo}"
        if not is_commit(info.sha):
            raise unusable(what, f"its commit is {info.sha!r:.60}")
        repo = _repo_id(info.id, what)
        card = clean_card(info.card, repo.id)
        tags = clean_tags(info.tags)
        before = known(repo, info.sha)
        return RepoListing(
            repo=repo,
            commit=info.sha,
            revision=asked.revision or "main",
            files=before.files if before else self._files(repo, info.sha, asked, token),
            source_uri=f"{asked.endpoint}/{repo.id}",
            card=card,
            tags=tags,
            pipeline_tag=clean_name(info.pipeline_tag),
            library_name=clean_name(info.library_name),
            license=license_name(card, tags),
            gated=info.gated,
            private=info.private,
            last_modified=info.last_modified,
        )

    def _files(self, repo: RepoId, commit: str, asked: Asked, token: str | None) -> tuple[RepoFile, ...]:
        path = f"api/models/{quote(repo.id)}/tree/{commit}?recursive=true&expand=false"
        request = self._request(path, asked, token)
        what, seen = str(request.address), {request.address}
        found: list[RepoFile] = []
        count = size = 0
        while True:
            page = self._transport.page(request, _MAX_PAGE)
            entries, files = page_files(page.body, what)
            found += files
            count, size = count + entries, size + len(page.body)
            if count > MAX_ENTRIES or size > _MAX_TREE:
                limits = f"more than {MAX_ENTRIES:,} files and folders, or {_MAX_TREE:,} bytes of names"
                raise too_many(what, f"its tree has {limits}")
            if page.next is None:
                return checked_files(found)
            if page.next in seen or len(seen) >= _MAX_PAGES:
                raise unusable(what, "its pages do not end")
            seen.add(page.next)
            request = _next_request(request, page.next)

    def _with_choices(
        self, error: RevisionNotFound, asked: Asked, token: str | None
    ) -> RevisionNotFound:
        """`error` with the branches and tags that exist, nearest first."""
        request = self._request(f"api/models/{quote(asked.repo)}/refs", asked, token)
        try:
            page = self._transport.page(request, _MAX_REFS)
            names = ref_names(parse_json(page.body, str(page.address)))
        except ModelHubError as problem:
            LOG.warning(
                "the branches of %s cannot be listed: %s",
                asked.repo,
                problem.message,
                extra={"event": "error", "model_repo_name": asked.repo, "error_type": problem.code},
            )
            return error
        choices = nearest(asked.revision or "main", names)
        hint = f"It has {', '.join(choices)}." if choices else error.hint
        return RevisionNotFound(error.message, hint=hint, **error.details, available=list(choices))

    def _request(self, path: str, asked: Asked, token: str | None) -> Request:
        return Request(
            Address.parse(f"{asked.endpoint}/{path}"),
            {"Authorization": f"Bearer {token}"} if token else {},
            asked.error,
            (token,) if token else (),
        )

    def _asked(
        self, repo: str, revision: str | None, file: str | None = None
    ) -> tuple[Asked, str | None]:
        """What errors say, and the token to ask with."""
        from huggingface_hub import constants

        if constants.is_offline_mode():
            raise Offline(
                f"{repo} would have to be asked for at {self.endpoint}, and HF_HUB_OFFLINE is set",
                hint="Unset HF_HUB_OFFLINE, or use what is here already.",
            )
        token = self._token()
        return Asked(self.endpoint, repo, revision, file, has_token=token is not None), token

    def _token(self) -> str | None:
        """Looked up for each request, since a login may come, change or expire meanwhile."""
        token = self._given_token
        if token is None:
            from huggingface_hub import constants, get_token

            token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
        # HTTP clients refuse such a header too, but quote it in their errors.
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise InvalidInput(
                "the token has characters that no token has",
                hint="A token is one word of plain ASCII; was it cut and pasted with something else?",
                field="token",
            )
        return token or None


def _checked_endpoint(endpoint: str) -> str:
    try:
        address = Address.parse(endpoint)
        plain = not re.search(r"[@?#]", endpoint)
    except SourceError as error:
        raise _bad_endpoint(endpoint) from error
    if not plain:
        raise _bad_endpoint(endpoint)
    return str(address).rstrip("/")


def _bad_endpoint(endpoint: str) -> InvalidInput:
    return InvalidInput(
        f"endpoint must be an http address without user, password or query, not {redact(endpoint)!r}",
        hint="It looks like https://huggingface.co; a token has its own parameter.",
        field="endpoint",
    )


def _repo_id(name: object, what: str) -> RepoId:
    """The name that the hub gives, which becomes a folder's name here."""
    try:
        ref = ModelRef.parse(name if isinstance(name, str) else "")
    except InvalidReference:
        raise unusable(what, f"it calls itself {str(name)!r:.120}") from None
    if ref.is_local or ref.id != name:
        raise unusable(what, f"it calls itself {name!r:.120}")
    return RepoId(source=HuggingFaceSource.name, vendor=ref.vendor or "", name=ref.name)


def _next_request(request: Request, address: Address) -> Request:
    """The request for a tree's next page, which a mirror may let another origin serve."""
    if address.origin == request.address.origin:
        return replace(request, address=address)
    if request.address.origin.scheme == "https" and address.origin.scheme == "http":
        raise unusable(str(request.address), f"its next page is at {address.origin}, without encryption")
    return replace(request, address=address, headers={})


class HubReader:
    """Ranges of a file of the hub, all of the version that the first answer was of."""

    def __init__(self, file: RepoFile, ask: Callable[[int, int | None, Version, Stop], Stream]) -> None:
        self._file = file
        self._ask = ask
        self._version = Version()
        self._stop = Stop()

    @property
    def whole_only(self) -> bool:
        return self._version.ranged is False

    @contextmanager
    def open(self, start: int, end: int | None) -> Iterator[ByteStream]:
        size = self._file.size
        end = None if end is None or end >= size else end
        if start >= (size if end is None else end):
            yield _Nothing()
            return
        with self._ask(start, end, self._version, self._stop) as stream:
            yield stream

    def stop(self) -> None:
        self._stop.set()


class _Nothing:
    def readinto(self, buffer: memoryview, /) -> int:  # noqa: ARG002 - there is nothing to write
        return 0
