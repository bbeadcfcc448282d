"""What is said of a blob, wherever it lies: in a folder or in a bucket."""

from modelhub.errors import IntegrityError, InvalidInput
from modelhub.refs import Digest
from modelhub.store import layout


def other_bytes(digest: Digest, actual: str, kept: str, shown: str = "") -> IntegrityError:
    """The error for a blob that holds other bytes, which are `kept` now; `shown` is its place for people."""
    path = layout.blob_path(digest)
    return IntegrityError(
        f"{shown or path}: its sha256 should be {digest}, but it is {actual}",
        hint=f"It was moved to {kept}. Pull the model again; the blob is fetched anew.",
        path=path,
        expected=digest,
        actual=actual,
        kept=kept,
        digests=[digest],
        damaged=[{"sha256": digest, "actual": actual, "kept": kept}],
    )


def require_small(digest: Digest, size: int, limit: int) -> None:
    """Refuse to read a blob of more than `limit` bytes whole.

    Raises:
        InvalidInput
    """
    if size > limit:
        raise InvalidInput(
            f"the blob {digest.short} has {size} bytes, more than the limit of {limit}",
            hint="Open its path instead of reading it whole.",
            field="limit",
        )
