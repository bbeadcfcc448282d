"""Puts what the store has into a cache that huggingface_hub, and all that is built on it, can read."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from modelhub.errors import InvalidInput, StoreUnavailable
from modelhub.facts import Call, Export, ExportedCommit, Progress, ProgressCallback, Snapshot
from modelhub.hub.resolve import Target
from modelhub.refs import RepoPath
from modelhub.sources.hf_cache import repo_folder
from modelhub.store import Store

_MAIN = "main"


@dataclass(frozen=True, slots=True)
class CacheExporter:
    """Makes `models--org--name/snapshots/<commit>/…` with the files themselves, and `refs/…`: without `blobs`,
    which huggingface_hub needs only to share bytes.
    """

    store: Store

    def export(
        self,
        target: Target,
        pulled: Snapshot,
        refs: frozenset[str],
        cache: Path,
        call: Call,
        show: ProgressCallback | None,
    ) -> Export:
        """See `Hub.export_hf_cache`. `refs` are names that mean the target's commit."""
        commits = tuple(self._commit(cache, one, call, show) for one in (pulled, *pulled.others))
        for ref in refs:
            _write_ref(cache / repo_folder(target.report.repo), ref, target.commit)
        return Export(cache=str(cache), commits=commits)

    def _commit(
        self, cache: Path, snapshot: Snapshot, call: Call, show: ProgressCallback | None
    ) -> ExportedCommit:
        hashed = 0

        def on_bytes(count: int) -> None:
            nonlocal hashed
            hashed += count
            if show:
                show(Progress(stage="verify", done=hashed))

        folder = cache / repo_folder(snapshot.repo) / "snapshots" / snapshot.commit
        files = {file.path: file.sha256 for file in snapshot.files}
        made = self.store.export(folder, files, on_bytes=on_bytes, check=call.check)
        return ExportedCommit(
            repo=snapshot.repo,
            commit=snapshot.commit,
            path=folder,
            files=len(made),
            bytes=sum(file.size for file in made),
            copied_bytes=sum(file.size for file in made if file.link == "copy"),
        )


def refs_of(target: Target, revision: str | None) -> frozenset[str]:
    """The names by which the commit is found in the cache: what was asked for, and `main` for the default
    branch, as who names no revision asks for.
    """
    names = set(_named(revision, target.commit))
    if target.commit == target.record.git_head:
        names.add(_MAIN)
    return frozenset(names)


def _named(revision: str | None, commit: str) -> Iterator[str]:
    if revision and not commit.startswith(revision):
        yield RepoPath(revision)


def _write_ref(repo: Path, ref: str, commit: str) -> None:
    """The file appears whole, in place of what it was."""
    path = repo / "refs" / ref
    spare = path.with_name(f".{uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        spare.write_text(commit, "ascii")
        spare.replace(path)
    except OSError as error:
        raise StoreUnavailable(
            f"{path} cannot be written: {error.strerror}",
            hint="Name a folder of yours on a disk with room.",
            path=str(path),
        ) from error


def check_exportable(target: Target) -> None:
    """Refuse what no cache of huggingface_hub can have.

    Raises:
        InvalidInput
    """
    if target.record.repo.source != "huggingface":
        raise InvalidInput(
            f"{target.report.repo} is of {target.record.repo.source}, not of Hugging Face",
            hint="Use the folder that hub.pull gives.",
            field="model",
        )


def folder_of(path: str | os.PathLike[str]) -> Path:
    """An absolute folder.

    Raises:
        InvalidInput: for an empty name.
    """
    if not os.fspath(path):
        raise InvalidInput("path is empty", hint="Name a folder.", field="path")
    return Path(path).expanduser().absolute()
