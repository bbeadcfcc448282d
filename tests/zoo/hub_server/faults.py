"""Faults on purpose: what a server, a CDN or an attacker may do to a client."""

from collections import UserDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from threading import Lock

from .content import File


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong. Fields may be combined; `HubServer.faults` says which paths it strikes.

    The first group strikes requests: those whose method is in `methods`, the first `times` of them
    (None: always). The second group is a lie in everything that is declared about a file (tree,
    siblings, paths-info, the headers of HEAD, ETag), and holds always; bodies stay what they are.
    """

    status: int | None = None  # answer this instead, e.g. 500, 503, 429
    retry_after: int | None = None  # seconds, the Retry-After header beside `status`
    delay: float = 0.0  # seconds of silence before the status line
    truncate: int | None = None  # close the connection after so many bytes of each body
    flip: int | None = None  # invert the byte at this offset of the file, in ranges that cover it
    stall: float = 0.0  # seconds of silence inside the body ...
    stall_after: int = 0  # ... after so many bytes of it
    rate: int | None = None  # bytes a second
    ignore_range: bool = False  # answer 200 and the whole file to a range request
    times: int | None = None
    methods: tuple[str, ...] = ("GET", "POST")

    size: int | None = None  # bytes
    sha256: str | None = None  # what is declared for it and, for an LFS file, its ETag
    name: str | None = None  # e.g. "../../etc/passwd"; the file answers under this name

    @property
    def strikes_early(self) -> bool:
        return self.status is not None or self.delay > 0

    @property
    def strikes_body(self) -> bool:
        paced = self.stall > 0 or self.rate is not None
        return paced or self.truncate is not None or self.flip is not None or self.ignore_range

    @property
    def lies(self) -> bool:
        return self.size is not None or self.sha256 is not None or self.name is not None

    def declare(self, file: File) -> File:
        """What this fault makes of the true facts about a file."""
        size = file.size if self.size is None else self.size
        return replace(file, path=self.name or file.path, size=size, sha256=self.sha256 or file.sha256)


NO_FAULT = Fault()


class Faults(UserDict[str, Fault]):
    """Faults by path: `"tiny.gguf"` (the end of a path), `"zoo/tiny/tiny.gguf"`, or a glob.

    A key is compared with the request's decoded path (`/api/models/zoo/tiny/tree/main`,
    `/zoo/tiny/resolve/main/tiny.gguf`) and, where a file is asked for, with `repository/path` of
    whichever origin serves it. Setting a key again starts its count anew.
    """

    def __init__(self) -> None:
        self._struck: dict[str, int] = {}
        self._lock = Lock()
        super().__init__()

    def __setitem__(self, key: str, fault: Fault) -> None:
        with self._lock:
            self._struck[key] = 0
            super().__setitem__(key, fault)

    def take_early(self, subjects: Iterable[str], method: str) -> Fault | None:
        """The first fault that replaces or delays this answer, counted as struck."""
        return self._take(tuple(subjects), method, early=True)

    def take_body(self, subjects: Iterable[str], method: str) -> Fault | None:
        """The first fault that touches this body, counted as struck."""
        return self._take(tuple(subjects), method, early=False)

    def declared(self, repo_id: str, files: Mapping[str, File]) -> Mapping[str, File]:
        """The files as the server declares them: the same mapping unless a fault lies."""
        lies = {key: fault for key, fault in list(self.items()) if fault.lies}
        if not lies:
            return files
        return {file.path: file for file in (_declare(lies, repo_id, file) for file in files.values())}

    def _take(self, subjects: tuple[str, ...], method: str, *, early: bool) -> Fault | None:
        with self._lock:
            for key, fault in self.items():
                fits = fault.strikes_early if early else fault.strikes_body and not fault.strikes_early
                if fits and self._left(key, fault, method) and matches(key, subjects):
                    self._struck[key] += 1
                    return fault
        return None

    def _left(self, key: str, fault: Fault, method: str) -> bool:
        return method in fault.methods and (fault.times is None or self._struck[key] < fault.times)


def matches(key: str, subjects: Iterable[str]) -> bool:
    """Whether a key of `Faults` means one of these paths."""
    end = "/" + key.lstrip("/")
    return any(fnmatchcase(subject, key) or f"/{subject}".endswith(end) for subject in subjects)


def _declare(lies: Mapping[str, Fault], repo_id: str, file: File) -> File:
    subjects = (f"{repo_id}/{file.path}",)
    for key, fault in lies.items():
        if matches(key, subjects):
            return fault.declare(file)
    return file
