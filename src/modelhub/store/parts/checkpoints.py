"""Makes durable now and then what a part has, in a thread beside its writers.

After a flush that failed, a system may forget what it could not write, and call the next flush a success.
So what failed once is never tried again: what was durable before still is.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from modelhub.store.folders import Folders
from modelhub.store.parts.sidecar import Sidecar
from modelhub.store.publishing import Temp


class Checkpoints:
    """Saves the checksums that `current` gives, each time after `every` more bytes.

    Without a `sidecar` there is nothing to save. What fails, also in its thread, is raised by every method
    from then on.
    """

    def __init__(
        self,
        folders: Folders,
        temp: Temp,
        sidecar: Sidecar | None,
        current: Callable[[], tuple[int | None, ...]],
        every: int,
    ) -> None:
        self._folders = folders
        self._temp = temp
        self._sidecar = sidecar
        self._current = current
        self._every = every
        self._lock = threading.Lock()
        self._since = 0
        self._thread: threading.Thread | None = None
        self._running = False
        self._failure: Exception | None = None

    @property
    def keep(self) -> bool:
        """Whether what is here is of use to the next who asks."""
        return self._sidecar is not None

    def note(self, count: int) -> None:
        """`count` more bytes were written."""
        with self._lock:
            if self._failure:
                raise self._failure
            self._since += count
            if self._sidecar is None or self._since < self._every or self._running:
                return
            self._since, self._running = 0, True
            self._thread = threading.Thread(target=self._save_aside, name="checkpoint", daemon=True)
            self._thread.start()

    def _save_aside(self) -> None:
        try:
            self.save()
        except Exception:  # noqa: BLE001 -- `once` keeps it for who writes next
            return
        finally:
            with self._lock:
                self._running = False

    def save(self) -> None:
        """First the bytes, then the word that they are there.

        Raises:
            StoreFull, StoreUnavailable
        """
        checksums = self._current()
        with self.once(), self._folders.errors("write", self._temp.name):
            self._folders.ops.fdatasync(self._temp.fd)
            if self._sidecar:
                self._sidecar.save(checksums)

    def flush(self) -> None:
        """The bytes alone.

        Raises:
            StoreFull, StoreUnavailable
        """
        with self.once(), self._folders.errors("write", self._temp.name):
            self._folders.ops.fdatasync(self._temp.fd)

    @contextmanager
    def once(self) -> Iterator[None]:
        """For what makes bytes durable: after its first failure it is not tried again."""
        with self._lock:
            if self._failure:
                raise self._failure
        try:
            yield
        except Exception as error:
            with self._lock:
                self._failure = self._failure or error
            raise

    def stop(self) -> None:
        """Wait for the thread; nobody notes anything any more."""
        if self._thread:
            self._thread.join()
