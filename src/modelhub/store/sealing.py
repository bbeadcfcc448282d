"""Asks the kernel to seal blobs (fs-verity), where it can."""

import logging
from collections.abc import Iterable

from modelhub.errors import ArtifactNotFound
from modelhub.facts import BlobRecord
from modelhub.refs import Digest
from modelhub.store.blobs import Blobs
from modelhub.store.folders import Folders

_log = logging.getLogger("modelhub.store")


class Sealer:
    """Seals what was just published, when nobody has it open for writing any more.

    That is beside the promise of the store: a blob that could not be sealed is as right as before, so a
    refusal is logged and no more.
    """

    def __init__(self, folders: Folders, blobs: Blobs, *, wanted: bool) -> None:
        self._folders = folders
        self._blobs = blobs
        self._seals = wanted and folders.verity

    def seal_all(self, digests: Iterable[Digest]) -> None:
        """Seal the blobs that are here."""
        if self._seals:
            for digest in digests:
                self._seal(digest)

    def seal(self, record: BlobRecord) -> BlobRecord:
        """Seal one blob: its record, with a proof of how it looks now."""
        return (self._seal(record.digest) or record) if self._seals else record

    def _seal(self, digest: Digest) -> BlobRecord | None:
        try:
            with self._blobs.hold(digest) as held:
                known = self._blobs.believed(held)
                if known is None or not self._enable(held.fd, digest):
                    return None
                return self._blobs.renew(held, known)
        except ArtifactNotFound:
            return None  # somebody has removed it meanwhile

    def _enable(self, fd: int, digest: Digest) -> bool:
        try:
            self._folders.ops.enable_verity(fd)
        except FileExistsError:
            return False  # it is sealed already
        except OSError as error:
            fields = {"hash": digest, "reason": error.strerror}
            _log.warning("artifact_not_sealed", extra=fields)
            return False
        return True
