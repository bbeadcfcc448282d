"""Objects in a file system of fsspec that lives in this process: for tests and trials."""

from collections.abc import Iterator
from datetime import UTC, datetime

from modelhub.store.outgoing import Outgoing
from modelhub.store.remote.objects import Objects, Seen, Stored, tag_of


class MemoryObjects(Objects):
    """The objects of `memory://name`. All stores of the process share them."""

    def __init__(self, uri: str) -> None:
        import fsspec

        super().__init__(uri)
        self._fs = fsspec.filesystem("memory")
        self._root = uri.partition("://")[2].strip("/")

    def _path(self, key: str) -> str:
        return f"/{self._root}/{key}"

    def look(self, key: str) -> Seen | None:
        try:
            data = self._fs.cat_file(self._path(key))
        except FileNotFoundError:
            return None
        return Seen(len(data), tag_of([data]))

    def read(self, key: str, start: int, end: int) -> bytes:
        return bytes(self._fs.cat_file(self._path(key), start=start, end=end))

    def create(self, key: str, data: Outgoing) -> bool:
        data.rewind()
        whole = data.read(data.size)
        data.confirm()
        try:
            self._fs.pipe_file(self._path(key), whole, mode="create")
        except FileExistsError:
            return False
        return True

    def tag_of(self, data: Outgoing) -> str:
        data.rewind()
        tag = tag_of([data.read(data.size)])
        data.confirm()
        return tag

    def copy(self, key: str, target: str) -> None:
        self._fs.cp_file(self._path(key), self._path(target))

    def remove(self, key: str) -> None:
        try:
            self._fs.rm_file(self._path(key))
        except FileNotFoundError:
            return

    def remove_seen(self, key: str, tag: str) -> None:
        seen = self.look(key)
        if seen is not None and seen.tag == tag:
            self.remove(key)

    def listed(self, prefix: str) -> Iterator[Stored]:
        found = self._fs.find(self._path(prefix), detail=True)
        start = len(self._path(""))
        for path, info in found.items():
            yield Stored(path[start:], int(info["size"]), _time(info["created"]))

    def abort_stale(self, before: datetime) -> int:
        del before  # what is piped is there at once
        return 0

    def probe(self) -> str:
        return "objects in this process's memory"

    def close(self) -> None:
        """Nothing is held open."""


def _time(when: datetime | float) -> datetime:
    """A moment, which a listing gives in either way."""
    return when if isinstance(when, datetime) else datetime.fromtimestamp(when, UTC)
