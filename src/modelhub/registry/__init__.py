"""What we know: the only room with SQL.

`Registry.open(url)` gives a registry; `with registry.begin() as tx:` a transaction whose methods
speak of repositories, revisions, models, snapshots and jobs, and give frozen facts. Rows never
leave this room.
"""

from modelhub.registry.adapters import StoreLedger
from modelhub.registry.artifacts import StoreKey, moved_away
from modelhub.registry.claims import FetchClaim, FetchClaims
from modelhub.registry.evictions import Evictable
from modelhub.registry.garbage import Unneeded
from modelhub.registry.instances import InstanceBook
from modelhub.registry.jobs import Jobs
from modelhub.registry.leases import Owner
from modelhub.registry.models import Models
from modelhub.registry.registry import Registry, Transaction
from modelhub.registry.repos import Repos
from modelhub.registry.revisions import Revisions
from modelhub.registry.search import ModelQuery, Search
from modelhub.registry.served import Served, ServedFile
from modelhub.registry.snapshots import SnapshotRecord, Snapshots
from modelhub.registry.stored import Has

__all__ = [
    "Evictable",
    "FetchClaim",
    "FetchClaims",
    "Has",
    "InstanceBook",
    "Jobs",
    "ModelQuery",
    "Models",
    "Owner",
    "Registry",
    "Repos",
    "Revisions",
    "Search",
    "Served",
    "ServedFile",
    "SnapshotRecord",
    "Snapshots",
    "StoreKey",
    "StoreLedger",
    "Transaction",
    "Unneeded",
    "moved_away",
]
