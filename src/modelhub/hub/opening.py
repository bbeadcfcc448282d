"""The store and the sources that the settings name, and what the registry remembers of the store."""

from collections.abc import Collection

from modelhub.refs import Digest
from modelhub.registry import Registry, StoreLedger, moved_away
from modelhub.settings import Settings
from modelhub.sources import Sources
from modelhub.store import StackedStore, Store, StoreOptions, lower_at
from modelhub.store.proof import host_id


def open_store(
    registry: Registry, settings: Settings, *, moving: bool = False
) -> tuple[StoreLedger, Store]:
    """The store and its ledger. A bucket is one store of all hosts, a folder is its own host's. Who is `moving` one
    to where it once was may open that place.

    Raises:
        StoreUnavailable: also for one that was moved.
        InvalidInput
    """
    shared = not settings.store.startswith("file:")
    ledger = StoreLedger(registry, settings.store, host=host_id(), shared=shared)

    def leased() -> Collection[Digest]:
        with registry.read() as tx:
            return tx.leases.held(ledger.key)

    with registry.read() as tx:
        moved = tx.moves.moved_to(ledger.key)
    if moved is not None and not moving:
        raise moved_away(ledger.key, moved)
    options = StoreOptions(
        cache=settings.cache,
        cache_bytes=settings.cache_quota,
        endpoint=settings.s3_endpoint,
        leased=leased,
        link_mode=settings.link_mode,
        fs_verity=settings.fs_verity == "auto",
    )
    lowers = [lower_at(uri, settings.s3_endpoint) for uri in settings.store_lower]
    store = Store.open(settings.store, ledger, options=options)
    return ledger, StackedStore(store, lowers) if lowers else store


def open_sources(settings: Settings) -> Sources:
    """Where repositories come from; nothing is asked yet."""
    token = settings.hf_token
    return Sources(
        endpoint=settings.hf_endpoint,
        token=None if token is None else token.get_secret_value(),
        max_connections=settings.max_connections,
        max_connections_per_host=settings.max_connections_per_host,
        bandwidth=settings.bandwidth,
        xet=settings.xet,
    )
