"""The data plane: GET with ranges over the standard library's HTTP client.

Redirects are followed by hand and credentials stay with the origin they were given for; a range
that breaks off is asked for again; no message or log shows a header, a query or a password.
"""

import json
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPException
from importlib.metadata import version

from modelhub.errors import (
    AccessDenied,
    FileNotInRepository,
    InvalidInput,
    ModelHubError,
    SourceError,
    SourceUnavailable,
)
from modelhub.sources.transport.address import Address, Origin, redact
from modelhub.sources.transport.answer import Answer
from modelhub.sources.transport.bounded import ANSWER_SECONDS, BoundedResponse, EndlessError
from modelhub.sources.transport.connections import Connection, Pool
from modelhub.sources.transport.limits import Limits, shared_limits
from modelhub.sources.transport.retry import RETRY_STATUS, RetryPolicy, Transient, retry_after
from modelhub.sources.transport.stop import Stop
from modelhub.sources.transport.stream import Stream, Version

__all__ = [
    "Address",
    "Limits",
    "Origin",
    "Page",
    "Refusal",
    "Request",
    "RetryPolicy",
    "Stop",
    "Stream",
    "Transport",
    "Version",
    "plain_error",
    "redact",
    "shared_limits",
]

LOG = logging.getLogger(__name__)
MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer of 400 and above that another attempt will not change.

    `code` and `message` are what a hub says in `X-Error-Code` and `X-Error-Message` or its body.
    """

    address: Address
    status: int
    code: str = ""
    message: str = ""


def plain_error(refusal: Refusal) -> ModelHubError:
    """What a refusal means on a server of which nothing else is known."""
    said = f": {refusal.message}" if refusal.message else ""
    text = f"{refusal.address} answered {refusal.status}{said}"
    if refusal.status in (401, 403, 407):
        return AccessDenied(text, hint="Pass credentials that may read it.", status=refusal.status)
    if refusal.status in (404, 410):
        return FileNotInRepository(text, hint="Check the address.", status=refusal.status)
    return SourceError(text, hint="Check the address.", status=refusal.status)


@dataclass(frozen=True, slots=True)
class Request:
    """What to get. `headers` go to the origin of `address` alone; `refused` names its refusals.

    `secrets` are texts that a server might repeat; they are blotted out of what it says. `stop` ends its
    waits.
    """

    address: Address
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    refused: Callable[[Refusal], ModelHubError] = plain_error
    secrets: tuple[str, ...] = field(default=(), repr=False)
    stop: Stop = field(default_factory=Stop, repr=False)

    def __post_init__(self) -> None:
        # http.client would refuse it too, with the value in its message.
        for name, value in self.headers.items():
            if not (value.isascii() and value.isprintable()):
                raise InvalidInput(
                    f"the header {name} has characters that no header may hold",
                    hint="A token is one line of plain ASCII.",
                    field="token",
                )


@dataclass(frozen=True, slots=True)
class Page:
    """A short body, whole. `next` is where `Link: rel="next"` points."""

    address: Address
    body: bytes = field(repr=False)
    next: Address | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Transport:
    """Gets bytes over http and https. Safe to use from several threads.

    `connect_timeout` and `read_timeout` are in seconds; the second is how long a server may be
    silent; `answer_timeout` is how long a page may take in all, and any other answer up to its body.
    `proxies` maps `http` and `https` to proxy URLs; by default the system's are used, as
    `urllib.request` finds them.
    """

    def __init__(
        self,
        *,
        connect_timeout: float = 10.0,
        read_timeout: float = 30.0,
        answer_timeout: float = ANSWER_SECONDS,
        retry: RetryPolicy | None = None,
        context: ssl.SSLContext | None = None,
        proxies: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._answer_timeout = answer_timeout
        self.retry = retry or RetryPolicy()
        self._limits = limits or Limits()
        self._pool = Pool(
            connect_timeout, read_timeout, context=context, proxies=proxies, limits=self._limits
        )

    def stream(
        self,
        request: Request,
        start: int = 0,
        end: int | None = None,
        version: Version | None = None,
    ) -> Stream:
        """The bytes `start` to `end` (exclusive; the file's end if `None`), of `version` alone.

        Raises:
            SourceUnavailable: when it cannot be reached, or keeps failing.
            SourceChanged: when the server has another version of the file.
            SourceError: for an answer that is not what was asked for.
            ModelHubError: what `request.refused` makes of a refusal.
        """
        one = version or Version()

        def ask(first: int, last: int | None) -> Answer:
            return self._ranged(request, first, last, one)

        return Stream(ask, self.retry, request.stop, one, start=start, end=end)

    def page(self, request: Request, limit: int) -> Page:
        """A whole body of at most `limit` bytes.

        Raises:
            SourceError: when it is longer, and as `stream`.
        SourceUnavailable: when an attempt takes longer than `answer_timeout`; there is no other then.
        """
        return self.retry.run(lambda: self._page(request, limit), request.stop)

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()

    def _page(self, request: Request, limit: int) -> Page:
        answer = self._follow(request, {"Accept": "application/json"})
        try:
            answer.align(0, None)
            body = answer.read(limit + 1)
        finally:
            answer.close()
        if len(body) > limit:
            raise SourceError(
                f"{answer.address} is longer than the {limit} bytes that modelhub reads of it",
                hint="This is no repository that modelhub can list.",
            )
        link = _next_link(answer.headers.get_all("Link") or [])
        following = answer.address.join(link) if link else None
        return Page(answer.address, body, following, dict(answer.headers.items()))

    def _ranged(self, request: Request, start: int, end: int | None, version: Version) -> Answer:
        headers = {}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
            if version.etag is not None:
                headers["If-Range"] = version.etag
        answer = self._follow(request, headers)
        answer.release()
        try:
            version.agree(answer, ranged=bool(headers))
            answer.align(start, end)
            version.agree_on_size(answer)
        except BaseException:
            answer.close()
            raise
        return answer

    def _follow(self, request: Request, headers: Mapping[str, str]) -> Answer:
        """The final answer to one attempt. Private headers do not come back once they are dropped."""
        address, private = request.address, request.headers
        until = time.monotonic() + self._answer_timeout
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._exchange(address, {**_headers(), **headers, **private}, until, request.stop)
            if answer.status not in _REDIRECTS:
                return _accepted(answer, request)
            answer.drain()
            target = _redirected(answer)
            if target.origin != address.origin:
                private = {}
                LOG.debug("%s redirects to %s, which gets no credentials", address.origin, target.origin)
            address = target
        raise SourceError(
            f"{request.address} redirects more than {MAX_REDIRECTS} times",
            hint="The server is set up wrongly.",
        )

    def _exchange(
        self, address: Address, headers: Mapping[str, str], until: float, stop: Stop
    ) -> Answer:
        try:
            connection, raw = self._send(address, headers, until, stop)
        except ModelHubError:
            raise
        except EndlessError as error:
            raise unavailable(address.origin, error) from error
        except ssl.SSLCertVerificationError as error:
            raise SourceUnavailable(
                f"{address.origin} shows a certificate that is not trusted: {error.verify_message}",
                hint="Behind a proxy that opens TLS, name its root certificate in SSL_CERT_FILE.",
            ) from error
        except UnicodeError as error:  # a host that no name service can be asked for
            raise unavailable(address.origin, error) from error
        except (OSError, HTTPException) as error:
            raise Transient(unavailable(address.origin, error)) from error
        return Answer(address, connection, raw, self._pool.give, self._limits, stop)

    def _send(
        self, address: Address, headers: Mapping[str, str], until: float, stop: Stop
    ) -> tuple[Connection, BoundedResponse]:
        connection = self._pool.take(address.origin, stop)
        try:
            return connection, _get(connection, address, headers, until, stop)
        except ConnectionError:
            # The server may close an idle connection just as it is used again; that is no failure.
            if not connection.reused:
                raise
        connection = self._pool.take(address.origin, stop, fresh=True)
        return connection, _get(connection, address, headers, until, stop)


def _get(
    connection: Connection, address: Address, headers: Mapping[str, str], until: float, stop: Stop
) -> BoundedResponse:
    """Ask; the connection is closed when that fails."""
    try:
        stop.add(connection)
        return connection.get(address, headers, until)
    except BaseException:
        stop.discard(connection)
        connection.close()
        raise


def unavailable(origin: Origin, error: BaseException) -> SourceUnavailable:
    """The error for an origin that cannot be reached."""
    what = str(error).strip() or type(error).__name__
    return SourceUnavailable(
        f"{origin} cannot be reached: {what:.200}",
        hint="Check the connection. What is here already can be used without one: Hub(offline=True), "
        "or MODELHUB_OFFLINE=1.",
    )


def _accepted(answer: Answer, request: Request) -> Answer:
    if answer.status in (200, 206):
        return answer
    body = answer.drain()
    refusal = Refusal(
        answer.address,
        answer.status,
        answer.headers.get("X-Error-Code", ""),
        _message(answer, body, request.secrets),
    )
    if answer.status not in RETRY_STATUS:
        raise request.refused(refusal)
    after = retry_after(answer.headers.get("Retry-After"), answer.headers.get("RateLimit"))
    raise Transient(busy(refusal, after), after)


def busy(refusal: Refusal, after: float | None) -> SourceUnavailable:
    """The error for a server that keeps answering 429 or 5xx."""
    said = f": {refusal.message}" if refusal.message else ""
    wait = f"It asks to be left alone for {after:.0f} s." if after else "Try again later."
    return SourceUnavailable(
        f"{refusal.address} answered {refusal.status}{said}", hint=wait, status=refusal.status
    )


def _redirected(answer: Answer) -> Address:
    location = answer.headers.get("Location")
    if not location:
        raise SourceError(f"{answer.address} redirects to nowhere", hint="The server is set up wrongly.")
    target = answer.address.join(location)
    if answer.address.origin.scheme == "https" and target.origin.scheme == "http":
        raise SourceError(
            f"{answer.address.origin} redirects from https to {target.origin}",
            hint="modelhub does not leave an encrypted connection for an open one.",
        )
    return target


def _message(answer: Answer, body: bytes, secrets: tuple[str, ...]) -> str:
    text = answer.headers.get("X-Error-Message") or ""
    if not text and "json" in answer.headers.get("Content-Type", ""):
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            said = None
        text = str(said.get("error") or "") if isinstance(said, dict) else ""
    return clean_message(text, secrets)


def clean_message(text: str, secrets: tuple[str, ...]) -> str:
    """What a server says, short, on one line and without our own secrets in it."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return "".join(c if c.isprintable() else " " for c in text[:300]).strip(" .")


def _next_link(headers: list[str]) -> str | None:
    """The target of `rel="next"` (RFC 8288)."""
    for link in ",".join(headers).split("<")[1:]:
        target, closed, parameters = link.partition(">")
        if closed and 'rel="next"' in parameters.replace("rel=next", 'rel="next"'):
            return target
    return None


@cache
def _headers() -> Mapping[str, str]:
    # Identity, because a length and a range are those of the file only if it is not compressed.
    return {"User-Agent": f"modelhub/{version('modelhub')}", "Accept-Encoding": "identity"}
