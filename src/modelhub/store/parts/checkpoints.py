"""Makes durable now and then what a part has, in a thread beside its writers."""

import threading
from collections.abc import Callable

from modelhub.store.folders import Folders
from modelhub.store.parts.sidecar import Sidecar


class Checkpoints:
    """Saves the checksums that `current` gives, each time after `every` more bytes.

    An error of its thread is raised to the next who writes.
    """

    def __init__(
        self,
        folders: Folders,
        fd: int,
        sidecar: Sidecar,
        current: Callable[[], tuple[int | None, ...]],
        every: int,
    ) -> None:
        self._folders = folders
        self._fd = fd
        self._sidecar = sidecar
        self._current = current
        self._every = every
        self._lock = threading.Lock()
        self._since = 0
        self._thread: threading.Thread | None = None
        self._running = False
        self._failure: Exception | None = None

    def note(self, count: int) -> None:
        """`count` more bytes were written."""
        with self._lock:
            if self._failure:
                raise self._failure
            self._since += count
            if self._since < self._every or self._running:
                return
            self._since, self._running = 0, True
            self._thread = threading.Thread(target=self._save_aside, name="checkpoint", daemon=True)
            self._thread.start()

    def _save_aside(self) -> None:
        failure: Exception | None = None
        try:
            self.save()
        except Exception as error:  # noqa: BLE001 -- raised by `note`
            failure = error
        with self._lock:
            self._failure = self._failure or failure
            self._running = False

    def save(self) -> None:
        """First the bytes, then the word that they are there.

        Raises:
            StoreFull, StoreUnavailable
        """
        checksums = self._current()
        with self._folders.errors("write", self._sidecar.name):
            self._folders.ops.fdatasync(self._fd)
            self._sidecar.save(checksums)

    def stop(self) -> None:
        """Wait for the thread; nobody notes anything any more."""
        if self._thread:
            self._thread.join()
