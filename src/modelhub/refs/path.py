"""File names inside a repository, which come from strangers.

The rules refuse what could leave the folder, what some supported system cannot hold, and what
two systems would read differently (row 1 of the threat table in docs/explanation/security.md).
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Self

from modelhub.errors import UnsafePath
from modelhub.refs._pydantic import CheckedStr

MAX_PART_BYTES = 255
MAX_PATH_BYTES = 1024

# Besides control characters: line breaks, marks that turn the reading direction, half surrogates.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# HFS+ drops these when it compares names, as git's own protection knows.
_IGNORED_BY_HFS = re.compile(r"[\u200c-\u200f\u206a-\u206f\ufeff]")
_NOT_ON_WINDOWS = re.compile(r'[<>:"|?*]')
_DOS_NAMES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"]
    + [f"{device}{n}" for device in ("com", "lpt") for n in "0123456789¹²³"]
)


class RepoPath(CheckedStr):
    """The POSIX path of a file inside its repository, safe on every system.

    Raises:
        UnsafePath: when the name is empty, absolute, has `.`, `..`, `.git`, a backslash, a drive,
            a control character, a part that Windows reserves or ends in a dot or space, or is
            longer than file systems allow.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if problem := _problem(text):
            raise UnsafePath(
                f"unsafe file name {text!r:.120}: {problem}",
                hint="modelhub takes no file from a repository that has such a name.",
                field="path",
            )
        return super().__new__(cls, text)

    @property
    def name(self) -> str:
        """The last part."""
        return self.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """Everything before the last part, without a slash at the end; `""` at the root."""
        return self.rpartition("/")[0]

    @property
    def suffix(self) -> str:
        """`.gguf` of `a/b.GGUF`: the last extension in lower case, or `""`."""
        stem, dot, extension = self.name.rpartition(".")
        return dot + extension.lower() if stem else ""


def check_tree(paths: Iterable[str]) -> tuple[RepoPath, ...]:
    """All `paths`, checked one by one and against each other.

    Two names that a case-folding or normalising file system would merge, or a file that is also
    a folder, are refused, since one would silently overwrite the other.
    """
    checked = tuple(RepoPath(path) for path in paths)
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in checked:
        key = _fold(path)
        if key in seen:
            raise _collision(path, seen[key])
        seen[key] = path
        parent = key
        while parent := parent.rpartition("/")[0]:
            if parent in folders:
                break
            folders[parent] = path
    for key in seen.keys() & folders.keys():
        raise _collision(seen[key], folders[key])
    return checked


def _fold(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _collision(path: str, other: str) -> UnsafePath:
    return UnsafePath(
        f"two file names collide: {other!r} and {path!r}",
        hint="They are one file on some systems, so modelhub takes neither.",
        field="path",
    )


def _problem(text: object) -> str:
    if not isinstance(text, str) or not text:
        return "it is empty"
    if "\\" in text:
        return "it has a backslash"
    if _CONTROL.search(text):
        return "it has a control character"
    if text.startswith("/"):
        return "it is absolute"
    if len(text.encode()) > MAX_PATH_BYTES:
        return f"it is longer than {MAX_PATH_BYTES} bytes"
    return next(filter(None, map(_part_problem, text.split("/"))), "")


def _part_problem(part: str) -> str:
    if part == "":
        return "it has an empty part"
    if part in (".", ".."):
        return f"it has the part {part!r}"
    seen_by_git = _IGNORED_BY_HFS.sub("", part).casefold().rstrip(". ")
    if seen_by_git == ".git" or seen_by_git.startswith("git~"):
        return "it reaches into a git folder"
    if part[-1] in ". ":
        return f"the part {part!r:.60} ends in a dot or a space"
    if _NOT_ON_WINDOWS.search(part):
        return f"the part {part!r:.60} has a character that Windows reserves"
    if part.partition(".")[0].rstrip(" ").casefold() in _DOS_NAMES:
        return f"the part {part!r:.60} is a device name on Windows"
    if len(part.encode()) > MAX_PART_BYTES:
        return f"a part is longer than {MAX_PART_BYTES} bytes"
    return ""
