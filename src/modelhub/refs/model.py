"""References: how people name a repository, a revision of it, and what they want of it."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from urllib.parse import unquote_to_bytes

from modelhub.errors import InvalidReference

_SOURCE = re.compile(r"[a-z][a-z0-9+.-]+(?=://)")
_PART = re.compile(r"[A-Za-z0-9_.-]+")
_REVISION = re.compile(r"[A-Za-z0-9_.+/-]+")
_TAG = re.compile(r"[A-Za-z0-9_.+-]+")
_LOCAL = re.compile(r"(?:/|\./|\.\./|~|\.{1,2}\Z|\\\\|\.\\|\.\.\\|[A-Za-z]:[\\/])")

_MAX_PART = 96
_EXAMPLE = (
    "A reference is [source://][vendor/]name[@revision][:tag]…, as in Qwen/Qwen3-0.6B-GGUF@main:q4_k_m."
)


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A parsed reference.

    Grammar::

        reference = [ source "://" ] [ vendor "/" ] name [ "@" revision ] { ":" tag }
                  | local
        source    = lower-case letter, then letters, digits, "+", ".", "-"; at least two in all,
                    since one letter is a drive
        vendor, name = letters, digits, "_", ".", "-"; at most 96; no "--", no "..";
                       no "." or "-" at either end; not ending in ".git"
        revision  = a branch, a tag or a commit: letters, digits, "_", ".", "+", "-", "/"
        tag       = letters, digits, "_", ".", "+", "-"
        local     = a text starting with / ./ ../ ~ file:// or a drive, or any PathLike

    Tags narrow by model, task, format or variant and compare without case; they are kept in
    lower case. A local reference has only a path: everything in it belongs to the file name.

    `str(ref)` prints the reference so that parsing it again gives an equal one.
    """

    name: str
    vendor: str | None = None
    source: str | None = None
    revision: str | None = None
    tags: tuple[str, ...] = ()
    path: str | None = None

    @classmethod
    def parse(cls, ref: "str | os.PathLike[str] | ModelRef") -> "ModelRef":
        """The reference that `ref` spells.

        Raises:
            InvalidReference: with a caret under the first character that cannot be.
        """
        if isinstance(ref, ModelRef):
            return ref
        if isinstance(ref, os.PathLike):
            return _local(os.fsdecode(ref))
        if not isinstance(ref, str):
            raise InvalidReference(
                f"a reference is text or a path, not {type(ref).__name__}", hint=_EXAMPLE, field="model"
            )
        if ref.startswith("file://"):
            return _local(_file_url(ref))
        if _LOCAL.match(ref):
            return _local(ref)
        return _Parser(ref).reference()

    def __str__(self) -> str:
        if self.path is not None:
            return self.path
        text = f"{self.source}://" if self.source else ""
        text += self.id
        text += f"@{self.revision}" if self.revision else ""
        return text + "".join(f":{tag}" for tag in self.tags)

    @property
    def id(self) -> str:
        """`vendor/name`, or only the name."""
        return f"{self.vendor}/{self.name}" if self.vendor else self.name

    @property
    def is_local(self) -> bool:
        """Whether this names a folder or file of this machine."""
        return self.path is not None

    def without_tags(self) -> "ModelRef":
        """The same repository at the same revision."""
        return replace(self, tags=())


def _local(path: str) -> ModelRef:
    if not path or "\0" in path:
        problem = "has a NUL character" if path else "is empty"
        raise InvalidReference(f"a path that {problem} names no model", hint=_EXAMPLE, field="model")
    if not _LOCAL.match(path):
        path = f"./{path}"
    expanded = _expand_home(path) if path.startswith("~") else path
    name = PurePath(expanded).name
    return ModelRef(name="root" if name in ("", "..") else name, path=expanded)


def _expand_home(path: str) -> str:
    try:
        return str(Path(path).expanduser())
    except RuntimeError as error:
        raise InvalidReference(
            f"no home folder for {path!r:.120}",
            hint="Write the folder out, or ./~name for a file whose name begins with a tilde.",
            field="model",
        ) from error


def _file_url(url: str) -> str:
    host, slash, path = url.removeprefix("file://").partition("/")
    problem = (
        (host not in ("", "localhost") and "it names another machine")
        or (not slash and "it has no path")
        or (("?" in path or "#" in path) and "'?' and '#' do not belong into a path")
    )
    if problem:
        raise InvalidReference(
            f"cannot read the file URL {url!r:.120}: {problem}",
            hint="Write file:///folder/model with special characters as %XX, or just /folder/model.",
            field="model",
        )
    return "/" + os.fsdecode(unquote_to_bytes(path))


class _Parser:
    """Reads a reference from left to right; keeps the place for the error's caret."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def reference(self) -> ModelRef:
        source = self._source()
        vendor, name = None, self._part("name")
        if self._skip("/"):
            vendor, name = name, self._part("name")
        revision = self._revision() if self._skip("@") else None
        tags: list[str] = []
        while self._skip(":"):
            tags.append(self._take(_TAG, "a tag").lower())
        if self.at < len(self.text):
            raise self._error(f"unexpected {self.text[self.at]!r}")
        return ModelRef(name, vendor, source, revision, tuple(tags))

    def _source(self) -> str | None:
        if not (match := _SOURCE.match(self.text)):
            return None
        self.at = match.end() + len("://")
        return match.group()

    def _part(self, what: str) -> str:
        start = self.at
        part = self._take(_PART, f"a {what}")
        problem = (
            (len(part) > _MAX_PART and f"longer than {_MAX_PART} characters")
            or ("--" in part and "it has '--'")
            or (".." in part and "it has '..'")
            or ((part[0] in ".-" or part[-1] in ".-") and "it starts or ends with '.' or '-'")
            or (part.lower().endswith(".git") and "it ends in '.git'")
        )
        if problem:
            self.at = start
            raise self._error(f"{part!r:.60} cannot be a {what}: {problem}")
        return part

    def _revision(self) -> str:
        start = self.at
        revision = self._take(_REVISION, "a revision")
        bad = revision[0] in "/.-" or revision[-1] in "/." or ".." in revision or "//" in revision
        if bad or len(revision) > 255:
            self.at = start
            raise self._error(f"{revision!r:.60} cannot be a revision")
        return revision

    def _take(self, pattern: re.Pattern[str], what: str) -> str:
        if not (match := pattern.match(self.text, self.at)):
            found = repr(self.text[self.at]) if self.at < len(self.text) else "the end"
            raise self._error(f"expected {what}, found {found}")
        self.at = match.end()
        return match.group()

    def _skip(self, mark: str) -> bool:
        if self.text[self.at : self.at + 1] != mark:
            return False
        self.at += 1
        return True

    def _error(self, problem: str) -> InvalidReference:
        # Unprintable characters would move the caret; a very long text would bury it.
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in self.text)
        start = max(0, self.at - 60)
        window = ("…" if start else "") + shown[start : start + 100]
        caret = " " * (self.at - start + bool(start)) + "^"
        return InvalidReference(
            f"malformed reference: {problem}\n    {window}\n    {caret}",
            hint=_EXAMPLE,
            field="model",
            position=self.at,
        )
