"""What a check asks of the database."""

from dataclasses import dataclass

from modelhub.refs import Digest
from modelhub.registry import Registry, SnapshotRecord, StoreKey, StoreLedger
from modelhub.store import Store


@dataclass(frozen=True, slots=True)
class Home:
    """A store, and what its database knows of it."""

    registry: Registry
    store: Store
    ledger: StoreLedger
    place: StoreKey

    def snapshots(self) -> tuple[SnapshotRecord, ...]:
        """Every folder that the database knows in this store."""
        with self.registry.read() as tx:
            return tx.snapshots.all(store=self.place)

    def doomed(self) -> frozenset[Digest]:
        """Blobs that a purge or a collection marked, and did not delete."""
        with self.registry.read() as tx:
            return frozenset(tx.removals.doomed(self.place))

    def advice(self, digest: Digest) -> str:
        """What brings a blob back."""
        with self.registry.read() as tx:
            repos = dict.fromkeys(file.repo for file in tx.served.listed(digest))
        if not repos:
            return "no repository that is known has it: only a backup can bring it back"
        return f"the next pull of {' or '.join(repos)} fetches it"
