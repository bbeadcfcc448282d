"""Gives a blob of one folder a second name in another, so that none of its bytes are copied."""

from dataclasses import dataclass

from modelhub.refs import Digest
from modelhub.store import layout, proof
from modelhub.store.blobs import Blobs
from modelhub.store.folders import Folders, folder_in
from modelhub.store.fsops import CANNOT, Watch


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder with its blobs."""

    folders: Folders
    blobs: Blobs


def lend(theirs: Shelf, ours: Shelf, digest: Digest, watch: Watch) -> bool:
    """Name their blob among ours; False, and nothing was done, where the file systems cannot.

    A wrong one stays where it is.

    Raises:
        ArtifactNotFound: they do not have it.
        IntegrityError: it holds other bytes.
        StoreUnavailable
    """
    with theirs.blobs.hold(digest, watch) as held:
        known = theirs.blobs.vouch_held(held, watch, leave=True)
        if not _link(theirs.folders, ours.folders, digest):
            return False
        # The link moved the change time: without this, neither's proof would hold.
        theirs.blobs.renew(held, known)
        with ours.folders.errors("look at", digest):
            after = ours.folders.ops.fstat(held.fd)
        fresh = known.proof and proof.renewed(known.proof, after, ours.blobs.clock())
        ours.blobs.note(known.model_copy(update={"proof": fresh}))
    if table := theirs.blobs.tables.read(digest):
        ours.blobs.tables.write(table)
    return True


def _link(theirs: Folders, ours: Folders, digest: Digest) -> bool:
    with ours.errors("publish", digest), folder_in(ours.ops, digest[:2], ours.blobs) as shard:
        try:
            ours.ops.link(layout.blob_name(digest), digest, source_fd=theirs.blobs, target_fd=shard)
            ours.ops.fsync(shard)
        except OSError as error:
            if error.errno not in CANNOT:
                raise
            return False
    return True
