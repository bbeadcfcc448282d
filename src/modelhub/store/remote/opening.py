"""From a place to its objects, and to the folder of its copies."""

from hashlib import sha256
from pathlib import Path

from modelhub.errors import StoreUnavailable
from modelhub.store.base import scheme_of
from modelhub.store.remote.memory import MemoryObjects
from modelhub.store.remote.objects import Objects
from modelhub.store.remote.s3 import S3Objects


def objects_at(uri: str, endpoint: str | None) -> Objects:
    """The objects of `s3://bucket/prefix` or `memory://name`; nothing is asked yet.

    Raises:
        StoreUnavailable: s3fs is missing, or the URI names nothing.
    """
    if "?" in uri or "#" in uri or "@" in uri.partition("://")[2].partition("/")[0]:
        shown = uri.partition("://")[0]
        reason = "it has a '?', a '#' or an '@'"
        raise StoreUnavailable(
            f"the store {shown}://… cannot be used: {reason}",
            hint="Write it as s3://bucket/prefix; credentials belong into the environment.",
            store=f"{shown}://",
            reason=reason,
        )
    if scheme_of(uri) == "memory":
        return MemoryObjects(uri)
    return S3Objects(uri, endpoint)


def cache_folder(uri: str, given: Path | None) -> Path:
    """The folder of a store's copies on this host.

    Raises:
        StoreUnavailable: no folder was given.
    """
    if given is None:
        reason = "its copies need a folder of this host"
        raise StoreUnavailable(
            f"the store {uri} cannot be used: {reason}",
            hint="Open it with StoreOptions(cache=folder).",
            store=uri,
            reason=reason,
        )
    # Two stores may share the folder.
    return given / sha256(uri.encode()).hexdigest()[:16]
