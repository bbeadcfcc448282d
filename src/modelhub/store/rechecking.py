"""Hashes a blob at leisure, as a scrub does."""

from modelhub.facts import BlobRecord
from modelhub.refs import Digest
from modelhub.store.blobs import Blobs
from modelhub.store.folders import Folders
from modelhub.store.fsops import Watch
from modelhub.store.intake import sha256_of


def recheck(folders: Folders, blobs: Blobs, digest: Digest, watch: Watch) -> BlobRecord:
    """Hash a blob without holding it, so that who links it does not wait for a slow reader.

    Raises:
        ArtifactNotFound, IntegrityError: as `Blobs.vouch`.
    """
    ops = folders.ops
    with blobs.reading(digest) as fd:
        with blobs.hold(digest, watch), folders.errors("look at", digest):
            seen, before = blobs.clock(), blobs.seal(fd)
        try:
            with folders.errors("read", digest):
                right = sha256_of(ops, fd, watch) == digest
        finally:
            ops.drop_cached(fd)
    if not right:
        return blobs.vouch(digest, watch, rehash=True)  # it decides, alone with the blob
    with blobs.hold(digest, watch) as held, folders.errors("look at", digest):
        # It may have got a link meanwhile, which moves its change time.
        return blobs.note(blobs.noted(digest, before, ops.fstat(held.fd), seen=seen))
