"""A blob's bytes on their way out, hashed as they are read."""

import hashlib

from modelhub.errors import IntegrityError
from modelhub.refs import Digest
from modelhub.store import layout
from modelhub.store.fsops import FsOps, Watch


class Outgoing:
    """Reads an open file from its beginning, once. What was read is right only after `confirm`."""

    def __init__(self, ops: FsOps, fd: int, digest: Digest, watch: Watch) -> None:
        self._ops = ops
        self._fd = fd
        self._watch = watch
        self._sha = hashlib.sha256()
        self._done = 0
        self.digest = digest
        self.size = ops.fstat(fd).st_size

    def rewind(self) -> None:
        """Begin again."""
        self._sha, self._done = hashlib.sha256(), 0

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer at the end."""
        self._watch.check()
        buffer = bytearray(max(0, min(count, self.size - self._done)))
        view, filled = memoryview(buffer), 0
        while filled < len(view):
            got = self._ops.pread(self._fd, view[filled:], self._done + filled)
            if not got:
                break
            filled += got
        self._done += filled
        self._sha.update(view[:filled])
        return bytes(view[:filled])

    def confirm(self) -> None:
        """Say that what was read is the blob.

        Raises:
            IntegrityError: it is not; the disk has changed it.
        """
        if self._done == self.size and self._sha.hexdigest() == self.digest:
            return
        raise IntegrityError(
            f"the copy of the blob {self.digest} on this host changed while it was read",
            hint="Pull the model again; the copy is fetched anew.",
            path=layout.blob_path(self.digest),
            expected=self.digest,
            actual=self._sha.hexdigest(),
            digests=[self.digest],
        )
