"""Addresses: one parser for what is checked and what is connected to."""

import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from modelhub.errors import SourceError

_MAX_LENGTH = 16 * 1024
_PORTS = {"http": 80, "https": 443}
# Browsers read a backslash as a slash and urllib does not; a control character is dropped by some.
_DIFFERS = re.compile(r"[\x00-\x1f\x7f\\]")
_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")
# Everything that may stand in an address already; quote() only mends what may not.
_KEPT = "%/?#[]@!$&'()*+,;=:~"


class Origin(NamedTuple):
    """What a credential belongs to. `host` is in lower case, an IPv6 address without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """`host`, and the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


@dataclass(frozen=True, slots=True)
class Address:
    """An http or https address. It prints without its query, which may hold a signature.

    `target` is the path and query as a request line has them. A user and password in front of the
    host are dropped by the parser, so that they can neither be sent nor printed.
    """

    origin: Origin
    target: str

    @classmethod
    def parse(cls, url: str) -> "Address":
        """The address that `url` spells.

        Raises:
            SourceError: for another scheme, and for spellings that two parsers read differently.
        """
        if len(url) > _MAX_LENGTH or _DIFFERS.search(url):
            raise _unusable(url, "it is too long, or has a backslash or a control character")
        try:
            parts = urlsplit(quote(url, safe=_KEPT))
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise _unusable(url, str(error)) from None
        if parts.scheme not in _PORTS:
            raise _unusable(url, "only http and https are spoken")
        if not _HOST.fullmatch(f"[{host}]" if ":" in host else host):
            raise _unusable(url, "it names no host")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(Origin(parts.scheme, host, port or _PORTS[parts.scheme]), target)

    def join(self, location: str) -> "Address":
        """Where a `Location` or `Link` header, found at this address, points to."""
        # http.client reads header bytes as Latin-1; what was UTF-8 on the wire is put back first.
        sent = location.encode("latin-1", "replace")
        if _DIFFERS.search(location):
            raise _unusable(location, "it has a backslash or a control character")
        return Address.parse(urljoin(f"{self.origin}{self.target}", quote(sent, safe=_KEPT)))

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def url(self) -> str:
        """The whole address, query included: to be sent, never to be shown."""
        return f"{self.origin}{self.target}"

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"


def redact(url: str) -> str:
    """`url` without user, password, query and fragment, for messages."""
    shown = re.split(r"[?#]", url, maxsplit=1)[0]
    while (shorter := re.sub(r"(?<=//)[^/\\]*@", "", shown)) != shown:
        shown = shorter  # what is left of an odd one may look like a user again
    return shown[:200]


def _unusable(url: str, problem: str) -> SourceError:
    return SourceError(
        f"unusable address {redact(url)!r}: {problem}",
        hint="An address looks like https://huggingface.co.",
        field="url",
    )
