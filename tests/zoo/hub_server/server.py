"""`HubServer`: the face of this package."""

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self

from .content import FIRST_COMMIT, Commit, File, Repo, read_commit
from .faults import Faults
from .routes import CdnHandler, HubHandler
from .serving import Listener
from .state import RequestRecord, State

Folder = str | PathLike[str]


class HubServer:
    """A Hugging Face hub on a free port of 127.0.0.1, a context manager.

    `repos` maps ids (`"vendor/name"`, or `"gpt2"` without a vendor) to folders, which are hashed
    when they are added and belong to the server from then on: push a new folder, do not edit one.
    `cdn=True` moves the bytes of large files to a second origin behind a 302. `page_size` pages
    the tree. Files of `lfs_threshold` bytes or with a weight's suffix are LFS files.
    """

    def __init__(
        self,
        repos: Mapping[str, Folder] | None = None,
        *,
        cdn: bool = False,
        page_size: int | None = None,
        lfs_threshold: int = 10_000_000,
    ) -> None:
        self._state = State(page_size=page_size)
        self._cdn = cdn
        self._lfs_threshold = lfs_threshold
        self._listeners: list[Listener] = []
        self._served: dict[object, str] = {}
        self._pushes = 0
        for repo_id, folder in (repos or {}).items():
            self.add(repo_id, folder)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Listen; `close` ends it. A context manager does both."""
        if self._listeners:
            raise RuntimeError("the server runs already")
        hub = Listener(HubHandler, self._state)
        self._listeners.append(hub)
        self._state.hub_origin = hub.url
        if self._cdn:
            cdn = Listener(CdnHandler, self._state)
            self._listeners.append(cdn)
            self._state.cdn_origin = cdn.url

    def close(self) -> None:
        """Close every connection, stalled ones too. May be called twice; a closed server stays closed."""
        self._state.closing.set()
        while self._listeners:
            self._listeners.pop().stop()

    @property
    def endpoint(self) -> str:
        """`http://127.0.0.1:PORT`, what clients take as HF_ENDPOINT."""
        if not self._state.hub_origin:
            raise RuntimeError("the server has no address before start()")
        return self._state.hub_origin

    @property
    def cdn_endpoint(self) -> str | None:
        return self._state.cdn_origin

    @property
    def faults(self) -> Faults:
        """Faults by path; see `Faults` for what a key may be."""
        return self._state.faults

    @property
    def page_size(self) -> int | None:
        """Entries a page of a tree; None gives whole trees."""
        return self._state.page_size

    @page_size.setter
    def page_size(self, size: int | None) -> None:
        self._state.page_size = size

    def add(
        self,
        repo_id: str,
        folder: Folder,
        *,
        gated: bool | str = False,
        private: bool = False,
        token: str | None = None,
        branches: Mapping[str, Folder] | None = None,
    ) -> str:
        """Serve `folder` as branch `main` of a new repository, `branches` beside it; returns main's commit.

        `token` opens a gated or private repository; without one nothing does.
        """
        if repo_id.lower() in self._state.repos:
            raise ValueError(f"{repo_id} is served already; push() gives it a new commit")
        repo = Repo(repo_id, gated=gated, private=private, token=token)
        sha = self._record(repo, "refs/heads/main", folder, "Initial commit")
        for branch, branch_folder in (branches or {}).items():
            self._record(repo, f"refs/heads/{branch}", branch_folder, f"Start {branch}")
        self._state.repos[repo_id.lower()] = repo
        return sha

    def add_listed(
        self,
        repo_id: str,
        sha: str,
        files: Iterable[File],
        *,
        gated: bool | str = False,
        token: str | None = None,
    ) -> None:
        """Serve a repository that is a listing and no folder: `files` at the commit `sha` (40 hex)."""
        listed = {file.path: file for file in sorted(files, key=lambda file: file.path)}
        repo = Repo(repo_id, gated=gated, token=token)
        repo.record("refs/heads/main", Commit(listed, "Initial commit", FIRST_COMMIT, known_sha=sha))
        self._state.repos[repo_id.lower()] = repo

    def push(self, repo_id: str, folder: Folder, *, branch: str = "main", title: str = "Update") -> str:
        """Make the content of `folder` the head of a branch (or full ref, `refs/pr/1`); returns its commit.

        Commits before it stay resolvable, so `folder` must not be one of theirs, edited.
        """
        ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
        return self._record(self._repo(repo_id), ref, folder, title)

    def tag(self, repo_id: str, name: str, revision: str = "main") -> str:
        """Name a revision's commit; returns the commit."""
        repo = self._repo(repo_id)
        commit = self._head(repo, revision)
        repo.record(f"refs/tags/{name}", commit)
        return commit.sha

    def remove(self, repo_id: str) -> None:
        """Serve a repository no more, as if its owner had deleted it."""
        del self._state.repos[self._repo(repo_id).id.lower()]

    def set_gated(self, repo_id: str, gated: bool | str, *, token: str | None = None) -> None:
        """Let its owner ask for consent, which those with `token` gave, or no more; its commits stay."""
        repo = self._repo(repo_id)
        repo.gated, repo.token = gated, token

    def commit(self, repo_id: str, revision: str = "main") -> str:
        """The commit (40 hex) that a revision means."""
        return self._head(self._repo(repo_id), revision).sha

    @property
    def requests(self) -> list[RequestRecord]:
        """Every request since the last `reset_counts`, on both origins, in order of arrival."""
        return self._state.records()

    def bytes_sent(self, path_suffix: str | None = None) -> int:
        """Bytes of bodies sent for paths with that end, on both origins."""
        end = path_suffix or ""
        return sum(record.bytes_sent for record in self.requests if record.path.endswith(end))

    def reset_counts(self) -> None:
        self._state.forget()

    def _record(self, repo: Repo, ref: str, folder: Folder, title: str) -> str:
        commit = read_commit(Path(folder).absolute(), title, self._pushes, self._lfs_threshold)
        for file in commit.files.values():
            if self._served.setdefault(file.source, file.sha256) != file.sha256:
                raise ValueError(f"{file.source} was edited while a commit still serves it; push a copy")
        self._pushes += 1
        repo.record(ref, commit)
        return commit.sha

    def _repo(self, repo_id: str) -> Repo:
        repo = self._state.repos.get(repo_id.lower())
        if repo is None:
            raise LookupError(f"{repo_id} is not served; these are: {', '.join(self._state.repos)}")
        return repo

    def _head(self, repo: Repo, revision: str) -> Commit:
        history = repo.history(revision)
        if history is None:
            raise LookupError(f"{repo.id} has no revision {revision}; it has: {', '.join(repo.refs)}")
        return history[0]
