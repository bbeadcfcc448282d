"""A folder of this machine: what is in it, and opening it without being led out of it."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from errno import ELOOP, EMLINK
from hashlib import sha1
from pathlib import Path
from typing import BinaryIO

from modelhub.errors import AccessDenied, FileNotInRepository, ModelHubError, SourceError, UnsafePath
from modelhub.refs import RepoPath, check_tree

MAX_ENTRIES = 100_000
MAX_DEPTH = 64  # folders


@dataclass(frozen=True, slots=True)
class Found:
    """One file at the moment of its listing; `size` in bytes, `mtime_ns` in nanoseconds."""

    path: RepoPath
    size: int
    mtime_ns: int

    def is_still(self, status: os.stat_result) -> bool:
        """Whether the file has not been written since."""
        return (self.size, self.mtime_ns) == (status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Place:
    """What a local reference names: the folder `root`, or only the file `only` in it."""

    root: Path
    only: str | None = None

    @classmethod
    def of(cls, path: str) -> "Place":
        """The place at `path`, which a person named and so may be a link; what it holds is checked.

        Raises:
            OSError: when there is neither a folder nor a regular file.
        """
        given = Path(path).absolute()
        if stat.S_ISREG(given.stat().st_mode):
            return cls(given.parent.resolve(strict=True), given.name)
        os.scandir(given).close()
        return cls(given.resolve(strict=True))

    @property
    def path(self) -> Path:
        return self.root / self.only if self.only else self.root

    def listing(self) -> tuple[Found, ...]:
        """Every regular file, sorted by path; hidden folders are left out.

        Raises:
            UnsafePath: for a link that leads out, and for names that are not `RepoPath`s.
            AccessDenied, FileNotInRepository: for what cannot be read, and for a link to nowhere.
            SourceError: for more than `MAX_ENTRIES` entries, or a folder `MAX_DEPTH` deep.
        """
        found = {self.only: self.path.stat()} if self.only else dict(_walk(self.root))
        return tuple(
            Found(path, found[path].st_size, found[path].st_mtime_ns)
            for path in sorted(check_tree(found))
        )

    def open(self, path: RepoPath) -> BinaryIO:
        """The file at `path`, unbuffered. No part of the way may be a link that leads out.

        Raises:
            FileNotInRepository, AccessDenied, UnsafePath
        """
        shown = self.path if self.only else self.root / path
        try:
            if self.only:
                target = shown.resolve(strict=True)
                return _open_below(target.parent, target.name)
            return self._open_inside(path)
        except OSError as error:
            raise _unreadable(shown, error) from error

    def _open_inside(self, path: RepoPath) -> BinaryIO:
        try:
            return _open_below(self.root, path)
        except OSError as error:
            if error.errno not in (ELOOP, EMLINK):
                raise
        base, target = _link_target(self.root, self.root / path)
        return _open_below(base, target.relative_to(base).as_posix())


def manifest_commit(files: tuple[Found, ...]) -> str:
    """What stands for a commit: the SHA-1 of a line `path NUL size NUL mtime_ns LF` for each file.

    It changes whenever a file is written, so a snapshot never mixes two states of a folder.
    """
    lines = (f"{file.path}\0{file.size}\0{file.mtime_ns}\n" for file in files)
    return sha1("".join(lines).encode(), usedforsecurity=False).hexdigest()


def cached_repo_name(root: Path) -> str | None:
    """`name` of `models--vendor--name/snapshots/<commit>`, the layout of huggingface_hub's cache."""
    repo = root.parent.parent.name
    if root.parent.name == "snapshots" and repo.startswith("models--"):
        return repo.rpartition("--")[2]
    return None


def _walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every regular file below `root` with its path from there. Never recurses, never follows a folder."""
    count = 0
    folders = [""]
    while folders:
        prefix = folders.pop()
        for child in _children(root / prefix):
            count += 1
            if count > MAX_ENTRIES or prefix.count("/") > MAX_DEPTH:
                raise _too_much(root)
            if child.name.startswith(".") and child.is_dir():
                continue
            status = _status(root, child)
            if stat.S_ISDIR(status.st_mode):
                folders.append(f"{prefix}{child.name}/")
            elif stat.S_ISREG(status.st_mode):
                yield prefix + child.name, status


def _children(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise _unreadable(folder, error) from error


def _status(root: Path, child: os.DirEntry[str]) -> os.stat_result:
    try:
        if not child.is_symlink():
            return child.stat()
        _, target = _link_target(root, Path(child.path))
        status = target.stat()
    except OSError as error:
        raise _unreadable(Path(child.path), error) from error
    if stat.S_ISDIR(status.st_mode):
        raise UnsafePath(
            f"the link {child.path!r:.200} leads to a folder",
            hint="Only files may be links; name the folder itself, or copy it.",
            field="path",
        )
    return status


def _link_target(root: Path, link: Path) -> tuple[Path, Path]:
    """The folder that a link must not leave, and where its file really is.

    That folder is `root`; or, where `root` is a snapshot in a cache of huggingface_hub, the cache's
    folder of that repository, or the cache's folder of blobs that repositories share.
    """
    target = Path(os.path.realpath(link, strict=True))
    for base in _allowed(root):
        if target.is_relative_to(base):
            return base, target
    raise UnsafePath(
        f"the link {str(link)!r:.200} leads out of its folder",
        hint="Put the file itself there; only snapshots in a cache of huggingface_hub may link out.",
        field="path",
    )


def _allowed(root: Path) -> Iterator[Path]:
    yield root
    if cached_repo_name(root):
        yield root.parent.parent
        yield root.parent.parent.parent / "blobs"


def _open_below(base: Path, relative: str) -> BinaryIO:
    *folders, name = relative.split("/")
    flags = os.O_RDONLY | os.O_CLOEXEC
    here = os.open(base, flags | os.O_DIRECTORY)
    try:
        for folder in folders:
            inner = os.open(folder, flags | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
        # Without O_NONBLOCK, opening a pipe would wait for its writer.
        descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
        holder = os.fstat(here)
    finally:
        os.close(here)
    file = open(descriptor, "rb", buffering=0)  # noqa: SIM115, PTH123 - the caller closes it
    try:
        _check_opened(os.fstat(descriptor), holder, name)
    except BaseException:
        file.close()
        raise
    return file


def _check_opened(file: os.stat_result, folder: os.stat_result, name: str) -> None:
    """Refuse what is no regular file, and another name of a file that a stranger could not read.

    Who may write into a folder can give it a second name of any file of the same disk. It was their own
    to give where the folder's owner owns the file; nobody else can where the folder is only ours.
    """
    if not stat.S_ISREG(file.st_mode):
        raise FileNotFoundError(0, "it is no regular file")
    if file.st_nlink < 2 or not hasattr(os, "geteuid"):
        return
    open_to_all = bool(folder.st_mode & stat.S_IWOTH)
    if open_to_all or folder.st_uid not in {os.geteuid(), file.st_uid}:
        raise UnsafePath(
            f"{name!r:.200} is a hard link in a folder that others may write to",
            hint="It could be a file of yours from elsewhere. Copy the folder to one of your own.",
            field="path",
        )


def _unreadable(path: Path, error: OSError) -> ModelHubError:
    """The error for something that should be there to be read."""
    text = f"{path} cannot be read: {error.strerror}"
    if isinstance(error, PermissionError):
        return AccessDenied(text, hint="Check its owner and permissions.", path=str(path))
    return FileNotInRepository(text, hint="Restore it, or remove what points to it.", path=str(path))


def _too_much(root: Path) -> SourceError:
    return SourceError(
        f"{root} holds more than {MAX_ENTRIES:,} files and folders, or goes deeper than {MAX_DEPTH}",
        hint="Name the folder of one model.",
    )
