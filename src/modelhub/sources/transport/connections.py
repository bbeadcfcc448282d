"""Connections: kept open per origin, through a proxy where the system says so."""

import logging
import select
import socket
import ssl
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from modelhub.errors import SourceUnavailable
from modelhub.sources.transport.address import Address, Origin, redact
from modelhub.sources.transport.bounded import BoundedResponse
from modelhub.sources.transport.limits import Limits
from modelhub.sources.transport.stop import Stop

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. `authorization` is the value of `Proxy-Authorization`, if it wants one."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)


@dataclass(slots=True, eq=False)
class Connection:
    """One open connection to an origin, used by one request at a time."""

    origin: Origin
    raw: HTTPConnection
    silence: float  # seconds
    proxy: Proxy | None
    reused: bool = False
    idle_since: float = 0.0
    left: Callable[[], None] | None = None

    def get(self, address: Address, headers: Mapping[str, str], until: float) -> BoundedResponse:
        """Send a GET and read the answer's head; all of it must be there by `until`."""
        if self.raw.sock is not None:
            self.raw.sock.settimeout(self.silence)  # an answer before this may have made it shorter
        # A class or what makes one: http.client only calls it.
        self.raw.response_class = partial(BoundedResponse, until=until)  # type: ignore[assignment]
        self.raw.request("GET", self._target(address), headers={**headers, **self._proxy_headers()})
        answer = self.raw.getresponse()
        assert isinstance(answer, BoundedResponse)
        return answer

    @property
    def is_alive(self) -> bool:
        """Whether the other side has kept it open; an idle connection has nothing to read."""
        return self.raw.sock is not None and not _is_readable(self.raw.sock)

    def close(self) -> None:
        self.raw.close()
        self.leave()

    def leave(self) -> None:
        """It is not in use any more. Safe to call twice."""
        left, self.left = self.left, None
        if left is not None:
            left()

    def abort(self) -> None:
        """End the waits of the thread that uses it; for another thread."""
        if (sock := self.raw.sock) is None:
            return
        try:
            # Not that of a TLS socket, which would change it under the one who reads.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        except OSError as error:
            LOG.debug("%s was closed already: %s", self.origin, error)

    def _target(self, address: Address) -> str:
        # A proxy is asked for the whole address, unless there is a tunnel through it.
        return address.url if self.proxy and self.origin.scheme == "http" else address.target

    def _proxy_headers(self) -> dict[str, str]:
        if self.proxy and self.proxy.authorization and self.origin.scheme == "http":
            return {"Proxy-Authorization": self.proxy.authorization}
        return {}


class Pool:
    """Connections that wait for their next request. Safe to use from several threads.

    Times are in seconds: `connect_timeout` for each address of a host, `read_timeout` for the
    silence that a server is allowed. `proxies` maps schemes to proxy URLs; the system's by default.
    """

    def __init__(
        self,
        connect_timeout: float,
        read_timeout: float,
        *,
        context: ssl.SSLContext | None = None,
        proxies: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        idle_per_origin: int = 16,
        idle_seconds: float = 60.0,
    ) -> None:
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._given_context = context
        self._proxies = proxies
        self._limits = limits or Limits()
        self._idle_per_origin = idle_per_origin
        self._idle_seconds = idle_seconds
        self._idle: dict[Origin, list[Connection]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def take(self, origin: Origin, stop: Stop, *, fresh: bool = False) -> Connection:
        """An open connection; a new one if `fresh`. Waits for its turn where the limits say so.

        Raises:
            OSError: when there is no way to the origin.
            SourceUnavailable: when the configured proxy is not an HTTP proxy.
            Cancelled: when `stop` comes while it waits.
        """
        self._limits.enter(origin, stop)
        try:
            connection = self._take(origin, fresh=fresh)
        except BaseException:
            self._limits.leave(origin)
            raise
        connection.left = partial(self._limits.leave, origin)
        return connection

    def _take(self, origin: Origin, *, fresh: bool) -> Connection:
        while not fresh and (connection := self._pop(origin)):
            if connection.is_alive and time.monotonic() - connection.idle_since < self._idle_seconds:
                connection.reused = True
                return connection
            connection.close()
        return self._connect(origin)

    def give(self, connection: Connection) -> None:
        """Take back a connection whose answer was read to its end."""
        connection.idle_since = time.monotonic()
        connection.leave()
        with self._lock:
            idle = self._idle.setdefault(connection.origin, [])
            if not self._closed and len(idle) < self._idle_per_origin:
                idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close what is idle; what is in use closes when it comes back."""
        with self._lock:
            self._closed = True
            connections = [connection for idle in self._idle.values() for connection in idle]
            self._idle.clear()
        for connection in connections:
            connection.close()

    def _pop(self, origin: Origin) -> Connection | None:
        with self._lock:
            idle = self._idle.get(origin)
            return idle.pop() if idle else None

    def _connect(self, origin: Origin) -> Connection:
        proxy = self._proxy(origin)
        raw = self._raw(origin, proxy)
        raw.response_class = BoundedResponse  # for the head of a tunnel
        try:
            raw.connect()
        except BaseException:
            raw.close()
            raise
        return Connection(origin, raw, self._read_timeout, proxy)

    def _raw(self, origin: Origin, proxy: Proxy | None) -> HTTPConnection:
        host, port = (proxy.host, proxy.port) if proxy else (origin.host, origin.port)
        if origin.scheme == "http":
            return HTTPConnection(host, port, timeout=self._connect_timeout)
        raw = HTTPSConnection(host, port, timeout=self._connect_timeout, context=self._context)
        if proxy:
            headers = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
            raw.set_tunnel(origin.host, origin.port, headers)
        return raw

    def _proxy(self, origin: Origin) -> Proxy | None:
        proxies = getproxies() if self._proxies is None else self._proxies
        url = proxies.get(origin.scheme)
        if not url or (self._proxies is None and proxy_bypass(f"{origin.host}:{origin.port}")):
            return None
        return parse_proxy(url)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return self._given_context or _default_context()


def parse_proxy(url: str) -> Proxy:
    """The proxy that a value of `http_proxy` or `https_proxy` means.

    Raises:
        SourceUnavailable: for a proxy that does not speak HTTP.
    """
    url = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError:
        raise _unusable_proxy(url) from None
    if parts.scheme != "http" or not parts.hostname:
        raise _unusable_proxy(url)
    authorization = None
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {b64encode(login.encode()).decode()}"
    return Proxy(parts.hostname, port, authorization)


def _unusable_proxy(url: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"{redact(url)!r} is not an HTTP proxy",
        hint="Set http_proxy and https_proxy to http://host:port, or unset them.",
    )


def _is_readable(sock: socket.socket) -> bool:
    if hasattr(select, "poll"):  # select() takes no descriptor above 1023
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])


def _default_context() -> ssl.SSLContext:
    if sys.platform == "linux":
        return ssl.create_default_context()
    try:
        # What huggingface_hub's client trusts: elsewhere OpenSSL does not know the system's roots.
        import truststore
    except ImportError:
        return ssl.create_default_context()
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
