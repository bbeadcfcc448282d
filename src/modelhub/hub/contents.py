"""The last look at files before an engine opens them: names are only claims."""

import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelhub.errors import FormatError
from modelhub.facts import Plan, PlannedFile
from modelhub.formats import check_claim, read_index
from modelhub.hub.pickles import pickles_of

_KEPT = 10_000
"""Files that are remembered as sound, by what they are called and hold."""

_INDEXES = (".safetensors.index.json", ".bin.index.json")
_MAX_INDEX = 32 << 20


@dataclass(frozen=True, slots=True)
class ContentGate:
    """Admits a plan's files to an engine. Safe to use from several threads.

    Each is looked at once for its digest: what lies under one does not change without being noticed.
    """

    _sound: "OrderedDict[tuple[str, str, bool], None]" = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(self, plan: Plan, roots: Mapping[str, Path]) -> None:
        """See that every file of the plan's components is what its name says. `roots` are their folders.

        Raises:
            FormatError: for one that is something else, or whose header is damaged, lying or hostile.
            UnsafePath: for an index that names a file outside of the repository.
        """
        pickles = pickles_of(plan)
        for file in plan.weights:
            self._admit(file, roots[file.component] / file.path, pickled=file in pickles)

    def _admit(self, file: PlannedFile, path: Path, *, pickled: bool) -> None:
        key = (file.sha256 or "", file.path.rpartition("/")[2], pickled)
        with self._lock:
            if file.sha256 and key in self._sound:
                self._sound.move_to_end(key)
                return
        _check(file.path, path, pickled=pickled)
        with self._lock:
            self._sound[key] = None
            if len(self._sound) > _KEPT:
                self._sound.popitem(last=False)


def _check(name: str, path: Path, *, pickled: bool) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FormatError(f"{name}: it is no regular file", file=name)
        check_claim(
            name,
            lambda start, end: os.pread(descriptor, end - start, start),
            status.st_size,
            pickled=pickled,
        )
        if name.endswith(_INDEXES):
            read_index(os.pread(descriptor, _MAX_INDEX + 1, 0), name=name)
    finally:
        os.close(descriptor)
