"""Objects under string keys: what a bucket can do, and how its failures are told."""

import asyncio
import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import md5
from typing import Any, NamedTuple, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from modelhub.errors import AccessDenied, ModelHubError, StoreFull, StoreUnavailable
from modelhub.store.outgoing import Outgoing

T = TypeVar("T")

ATTEMPTS = 5
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_CODES = frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507"})
_NO_LOGIN = frozenset({"NoCredentialsError", "PartialCredentialsError"})
_LOGIN = "Check the credentials that s3fs finds (environment, profile or role), and the bucket's policy."


class Stored(NamedTuple):
    """An object in a listing; its size is in bytes."""

    key: str
    size: int
    changed: datetime


class Seen(NamedTuple):
    """How an object looks: its bytes, and a tag that other bytes under the same key do not have."""

    size: int
    tag: str


class Objects(ABC):
    """The objects below one place. A read gives what was asked for, a write is whole or not at all.

    Calls are repeated while their failure may pass.

    Raises (all methods):
        StoreUnavailable: the server cannot be reached, or fails again and again.
        AccessDenied: it does not let us.
        StoreFull
    """

    failures: tuple[type[Exception], ...] = (OSError, asyncio.TimeoutError)
    """What the library raises for a server that fails."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @abstractmethod
    def look(self, key: str) -> Seen | None:
        """How it looks; `None` when there is no such object."""

    @abstractmethod
    def read(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`.

        Raises:
            FileNotFoundError: there is no such object.
        """

    @abstractmethod
    def create(self, key: str, data: Outgoing) -> bool:
        """Make an object of all of `data`; False when there is one already, where the server can tell.

        Raises:
            IntegrityError: `data` is not what it should be; nothing was made.
        """

    @abstractmethod
    def tag_of(self, data: Outgoing) -> str:
        """The tag that an object would have which `create` made of `data`, where servers agree on it.

        Raises:
            IntegrityError: `data` is not what it should be.
        """

    @abstractmethod
    def copy(self, key: str, target: str) -> None:
        """Copy an object.

        Raises:
            FileNotFoundError: there is no such object.
        """

    @abstractmethod
    def remove(self, key: str) -> None:
        """Delete an object, if it is there."""

    @abstractmethod
    def remove_seen(self, key: str, tag: str) -> None:
        """Delete an object if it has this tag still; where the server cannot compare, look just before."""

    @abstractmethod
    def listed(self, prefix: str) -> Iterator[Stored]:
        """All objects whose key starts so."""

    @abstractmethod
    def abort_stale(self, before: datetime) -> int:
        """Give up uploads that began before, and never ended: how many."""

    @abstractmethod
    def probe(self) -> str:
        """Ask the server something cheap, so that a wrong address or login shows: what it is."""

    @abstractmethod
    def close(self) -> None:
        """Give back connections."""

    def attempt(self, doing: str, work: Callable[[], T]) -> T:
        """What `work` gives, tried again while its failure may pass."""
        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.1, max=5),
            retry=retry_if_exception(self._may_pass),
            reraise=True,
        )
        with self._errors(doing):
            return retrying(work)

    def _may_pass(self, error: BaseException) -> bool:
        final = (ModelHubError, FileNotFoundError, FileExistsError, PermissionError, ValueError)
        if isinstance(error, final) or type(error).__name__ in _NO_LOGIN:
            return False
        return isinstance(error, self.failures)

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (ModelHubError, FileExistsError):
            raise
        except FileNotFoundError as error:
            if code_of(error) != "NoSuchBucket":
                raise
            raise self._translated(error, doing) from error
        except PermissionError as error:
            text = f"the store {self.uri} does not let us {doing}: {told(error)}"
            raise AccessDenied(text, hint=_LOGIN) from error
        except self.failures as error:
            raise self._translated(error, doing) from error

    def _translated(self, error: Exception, doing: str) -> ModelHubError:
        if getattr(error, "errno", None) in _FULL or code_of(error) in _FULL_CODES:
            return StoreFull(
                f"the store {self.uri} is full: it could not {doing}",
                hint="Free some space in the bucket, or raise its quota.",
            )
        if type(error).__name__ in _NO_LOGIN:
            text = f"the store {self.uri} cannot be used: no credentials were found"
            return AccessDenied(text, hint=_LOGIN)
        reason = f"it could not {doing}: {told(error)}"
        return StoreUnavailable(
            f"the store {self.uri} cannot be used: {reason}",
            hint="Check the bucket's name and address, and that its server answers.",
            store=self.uri,
            reason=reason,
        )


def tag_of(parts: Iterable[bytes]) -> str:
    """The tag that S3 gives to what was sent in these parts, unless it is encrypted: their MD5s.

    Of one part, its own; of several, that of all, and how many. It names bytes, and vouches for none.
    """
    sums = [md5(part, usedforsecurity=False) for part in parts]
    if len(sums) == 1:
        return f'"{sums[0].hexdigest()}"'
    whole = md5(b"".join(each.digest() for each in sums), usedforsecurity=False)
    return f'"{whole.hexdigest()}-{len(sums)}"'


def code_of(error: BaseException) -> str:
    """The code in an answer of S3, of the error or of what caused it; `""` without one."""
    for one in (error, error.__cause__):
        response: Any = getattr(one, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


def told(error: Exception) -> str:
    """What a failure says of itself, in a line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
