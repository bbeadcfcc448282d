"""The bytes: content-addressed blobs, proofs that they are whole, folders linked from them.

    store = Store.open("~/models", FileLedger("~/models/ledger.jsonl"))
    record = store.put(stream, expect=Expected(sha256=digest, size=size, name="model.gguf"))
    snapshot = store.link("Qwen", "Qwen3-0.6B-GGUF", commit, {RepoPath("model.gguf"): digest})

What holds at every moment, whatever dies (the tests do their worst to each line):

- **I1** A name under `blobs/sha256/` has bytes with that hash. Bytes get their name only after they were
  hashed, compared with what was promised and made durable, and keep it read-only. Bytes that a disk changed
  afterwards are found by the next use that has no proof, and moved to `quarantine`.
- **I2** A snapshot's file is whole or absent, and made only from a blob that was vouched for. No
  symbolic link is followed below the root on the way to it. A blob that is set aside takes its hard
  links out of all snapshots.
- **I3** Nothing here deletes a blob. What is wrong is moved aside; what a killed writer left in `tmp` is
  no blob, and is removed after a day.
- **I4** Writers never damage each other. Each has a file of its own in `tmp`; the first to publish
  wins, the others compare. Locks only save work: where a file system has none, something may be hashed
  twice.
- **I5** An interrupted `put` loses that `put`, and nothing else.
- **I6** A file that is deleted by hand means "fetch again", never wrong data: a blob, a snapshot's file,
  the ledger. A lost ledger or a moved store means at most "hash again".

A blob's use is cheap the second time, because the ledger has a proof of it: see `store.proof`.
"""

from modelhub.store.adopting import AdoptMode, known_mode
from modelhub.store.base import Store
from modelhub.store.blocks import Span
from modelhub.store.intake import ByteStream, Expected
from modelhub.store.inventory import Inventory, Lying
from modelhub.store.layout import LinkChoice, LinkMode, known_link_mode
from modelhub.store.ledger import FileLedger
from modelhub.store.levels import Level, known_level
from modelhub.store.local import LocalStore
from modelhub.store.lower import lower_at
from modelhub.store.options import StoreOptions
from modelhub.store.parts import Unfinished
from modelhub.store.ports import Batch, Ledger, Part
from modelhub.store.remote import RemoteStore
from modelhub.store.stacked import StackedStore

__all__ = [
    "AdoptMode",
    "Batch",
    "ByteStream",
    "Expected",
    "FileLedger",
    "Inventory",
    "Ledger",
    "Level",
    "LinkChoice",
    "LinkMode",
    "LocalStore",
    "Lying",
    "Part",
    "RemoteStore",
    "Span",
    "StackedStore",
    "Store",
    "StoreOptions",
    "Unfinished",
    "known_level",
    "known_link_mode",
    "known_mode",
    "lower_at",
]
