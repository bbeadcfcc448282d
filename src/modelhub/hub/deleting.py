"""Deletes a blob whose row is marked: the bytes first, then the row."""

from collections.abc import Callable

from modelhub.refs import Digest
from modelhub.registry import Registry, StoreKey, Transaction
from modelhub.store import Store

__all__ = ["delete_blob"]


def delete_blob(
    registry: Registry,
    store: Store,
    place: StoreKey,
    digest: Digest,
    confirm: Callable[[Transaction], bool],
) -> bool:
    """Whether it was deleted: `confirm` says so once more, while nobody can take the file."""

    def confirmed() -> bool:
        with registry.begin() as tx:
            return confirm(tx)

    if not store.remove(digest, confirmed):
        return False
    with registry.begin() as tx:
        tx.removals.gone(digest, place)
    return True
