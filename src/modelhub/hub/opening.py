"""The store that the settings name, and what the registry remembers of it."""

from collections.abc import Collection

from modelhub.refs import Digest
from modelhub.registry import Registry, StoreLedger
from modelhub.settings import Settings
from modelhub.store import Store, StoreOptions
from modelhub.store.proof import host_id


def open_store(registry: Registry, settings: Settings) -> tuple[StoreLedger, Store]:
    """The store and its ledger. A bucket is one store of all hosts, a folder is its own host's.

    Raises:
        StoreUnavailable, InvalidInput
    """
    shared = not settings.store.startswith("file:")
    ledger = StoreLedger(registry, settings.store, host=host_id(), shared=shared)

    def leased() -> Collection[Digest]:
        with registry.read() as tx:
            return tx.leases.held(ledger.key)

    options = StoreOptions(
        cache=settings.cache,
        cache_bytes=settings.cache_quota,
        endpoint=settings.s3_endpoint,
        leased=leased,
        link_mode=settings.link_mode,
        fs_verity=settings.fs_verity == "auto",
    )
    return ledger, Store.open(settings.store, ledger, options=options)
