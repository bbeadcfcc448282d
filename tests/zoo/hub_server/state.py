"""What the server's two origins share: repositories, faults, and the record of every request."""

import secrets
from dataclasses import dataclass, field
from threading import Event, Lock

from .content import Repo
from .faults import Faults


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request, as far as it was served when the record was asked for."""

    origin: str  # "hub" or "cdn"
    method: str
    path: str  # decoded, without the query
    query: str
    status: int  # 0 until the answer starts
    range: str | None  # the Range header
    authorized: bool  # an Authorization header came; its value is never kept
    bytes_sent: int  # of the body, handed to the operating system


@dataclass(slots=True, eq=False)
class Exchange:
    """A request in progress. Bytes are counted before they are sent, so whoever holds a byte can see it counted."""

    origin: str
    method: str
    path: str
    query: str
    range: str | None
    authorized: bool
    status: int = 0
    bytes_sent: int = 0

    def record(self) -> RequestRecord:
        return RequestRecord(
            self.origin,
            self.method,
            self.path,
            self.query,
            self.status,
            self.range,
            self.authorized,
            self.bytes_sent,
        )


@dataclass(slots=True)
class State:
    page_size: int | None = None
    hub_origin: str = ""
    cdn_origin: str | None = None
    repos: dict[str, Repo] = field(default_factory=dict)  # by lower-case id
    faults: Faults = field(default_factory=Faults)
    signature: str = field(default_factory=secrets.token_hex)  # opens the CDN instead of a token
    closing: Event = field(default_factory=Event)
    _exchanges: list[Exchange] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def find(self, segments: list[str]) -> tuple[Repo, list[str]] | None:
        """The repository that a path starts with, and the rest of the path. Names compare without case."""
        for length in (2, 1):
            repo = self.repos.get("/".join(segments[:length]).lower())
            if repo and len(segments) >= length:
                return repo, segments[length:]
        return None

    def begin(self, exchange: Exchange) -> None:
        with self._lock:
            self._exchanges.append(exchange)

    def records(self) -> list[RequestRecord]:
        with self._lock:
            return [exchange.record() for exchange in self._exchanges]

    def forget(self) -> None:
        with self._lock:
            self._exchanges.clear()
