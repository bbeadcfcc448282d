"""A store in a bucket: the bucket is the truth, each host has verified copies.

    store = Store.open("s3://bucket/models", ledger, options=StoreOptions(cache=Path("/fast/disk")))

What holds beside the invariants of every store:

- **R1** An object under `blobs/sha256/` is made whole or not at all, and of bytes that were hashed while they
  were sent. Two writers of one blob write the same bytes; where the server can tell, the second does not.
- **R2** Nothing of the bucket is used without its hash: it is read into the cache, and vouched for there.
- **R3** The ledger says that the bucket has a blob only after the server said so. What a killed writer
  left in the cache alone is sent by the next who links or stores it.
- **R4** The cache lets go of copies only: never of what is leased, pinned, was used a moment ago, or is nowhere
  else. A copy takes its hard links out of all snapshots with it.
"""

from modelhub.store.remote.store import RemoteStore

__all__ = ["RemoteStore"]
