"""The check of a store in a bucket: its objects against the rows, and this host's copies."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelhub.errors import ArtifactNotFound, StoreUnavailable
from modelhub.facts import BlobRecord, BlobState, FaultKind, SnapshotFile
from modelhub.hub.checking.folder import STOPPED, FolderRun
from modelhub.refs import Digest
from modelhub.registry import SnapshotRecord
from modelhub.store.layout import blob_path
from modelhub.store.stock import Stock, is_file

_CHUNK = 1 << 20


@dataclass
class BucketRun(FolderRun):
    """One check of a bucket. What its cache does not have was let go, and is no fault."""

    objects: dict[Digest, int] = field(default_factory=dict)

    def sizes_of(self, stock: Stock) -> Mapping[Digest, int]:
        del stock  # those are copies
        found = self.home.store.inventory().blobs
        self.objects = {digest: one.size for digest, one in found.items()}
        return self.objects

    def blob(self, digest: Digest, row: BlobRecord | None) -> None:
        path, size = blob_path(digest), self.objects.get(digest)
        present = row is not None and row.state is BlobState.PRESENT
        if size is None:
            if present and self._gone(digest) and not self.now_known_missing(digest):
                self.note(FaultKind.MISSING, path, "the object is gone", lambda: self.prove(digest))
        elif row is not None and present and size != row.size:
            reason = f"the object has {size} bytes, not {row.size}"
            self.note(FaultKind.DAMAGED, path, reason, lambda: self.prove(digest))
        elif self.deep and (bad := self._object(digest, size)):
            self.note(*bad, lambda: self.prove(digest))
        elif not present:
            state = "not in the database" if row is None else f"{row.state} in the database"
            self.note(FaultKind.UNKNOWN, path, f"the object is {state}", lambda: self.prove(digest))
        elif why := self._copy(digest, size):
            self.note(FaultKind.DAMAGED, path, f"this host's copy: {why}", lambda: self.prove(digest))

    def prove(self, digest: Digest) -> str:
        said = super().prove(digest)
        record = self.home.store.find([digest]).get(digest)
        if record is not None:
            # The database's rows are about the bucket; proofs are of this host's copies.
            news = {"state": BlobState.PRESENT, "proof": None}
            self.home.ledger.record([record.model_copy(update=news)])
        return said

    def _gone(self, digest: Digest) -> bool:
        """Whether it is not there now, either: it may have come since the listing."""
        try:
            with self.home.store.stream(digest, 0, 0, check=self.call.check):
                return False
        except ArtifactNotFound:
            return True

    def _object(self, digest: Digest, size: int) -> tuple[FaultKind, str, str] | None:
        """What is wrong with the object's bytes, read from the bucket."""
        sha, buffer = hashlib.sha256(), memoryview(bytearray(_CHUNK))
        try:
            with self.home.store.stream(digest, 0, size, check=self.call.check) as stream:
                while count := stream.readinto(buffer):
                    sha.update(buffer[:count])
        except STOPPED:
            raise
        except ArtifactNotFound:
            return None  # it was removed meanwhile
        except StoreUnavailable as error:
            return FaultKind.UNREAD, blob_path(digest), error.message
        self.read.add(digest)
        if sha.hexdigest() == digest:
            return None
        return FaultKind.DAMAGED, blob_path(digest), f"the object's sha256 is {sha.hexdigest()}"

    def _copy(self, digest: Digest, size: int) -> str | None:
        look = self.disk.look(blob_path(digest))
        if look is None:
            return None
        if not is_file(look):
            return "no regular file"
        if look.st_size != size:
            return f"{look.st_size} bytes, not {size}"
        wrong = self.wrong(digest) if self.deep else None
        return wrong[1] if wrong else None

    def unlinked(self, record: SnapshotRecord, file: SnapshotFile) -> str | None:
        copy = self.disk.look(blob_path(file.sha256))
        if copy is None or self.disk.look(f"{record.path}/{file.path}") is None:
            return None
        return super().unlinked(record, file)
