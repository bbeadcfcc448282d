"""The addresses of the hub and of its CDN."""

from collections.abc import Mapping, Sequence
from typing import NoReturn
from urllib.parse import quote, urlencode

from . import payloads
from .content import Commit, File, Repo
from .serving import Handler, RefusalError


class HubHandler(Handler):
    """`/api/...` and `/{id}/resolve/{revision}/{path}`."""

    origin = "hub"

    def route(self) -> None:
        match self.segments:
            case ["api", "whoami-v2"]:
                self._whoami()
            case ["api", "models", *rest] if rest and rest != [""]:
                repo, rest = self._repo(rest)
                self._api(repo, rest[:-1] if rest[-1:] == [""] else rest)
            case ["api", "datasets" | "spaces" | "kernels" | "buckets", _, *_]:
                self._no_repo()
            case ["api", *_]:
                raise RefusalError(404, None, "Sorry, we can't find the page you are looking for.")
            case _:
                self._page()

    def _page(self) -> None:
        repo, rest = self._repo(self.segments)
        match rest:
            case ["resolve", revision, *path] if path:
                self._resolve(repo, self._commit(repo, revision), "/".join(path))
            case _:
                raise RefusalError(404, None, "Sorry, we can't find the page you are looking for.")

    def _api(self, repo: Repo, rest: Sequence[str]) -> None:
        match rest:
            case []:
                self._info(repo, self._commit(repo, "main"))
            case ["revision", revision]:
                self._info(repo, self._commit(repo, revision))
            case ["tree", revision, *path]:
                self._tree(repo, self._commit(repo, revision), "/".join(path))
            case ["paths-info", revision] if self.command == "POST":
                self._paths_info(repo, self._commit(repo, revision))
            case ["refs"]:
                self._ok(payloads.refs(repo, include_prs=self._flag("include_prs")))
            case ["commits", revision]:
                self._commit(repo, revision)
                self._ok(payloads.commits(repo.history(revision) or []))
            case ["auth-check"]:
                self._check_gate(repo)
                self._ok({})
            case _:
                raise RefusalError(404, None, "Sorry, we can't find the page you are looking for.")

    def _info(self, repo: Repo, commit: Commit) -> None:
        files = self.state.faults.declared(repo.id, commit.files)
        blobs, security = self._flag("blobs"), self._flag("securityStatus")
        info = payloads.model_info(repo, commit, files, blobs=blobs, security=security)
        wanted = self.query.get("expand")
        self._ok(payloads.only(info, wanted) if wanted else info)

    def _tree(self, repo: Repo, commit: Commit, folder: str) -> None:
        files = self.state.faults.declared(repo.id, commit.files)
        recursive, expand = self._flag("recursive"), self._flag("expand")
        entries = payloads.tree(commit, files, folder, recursive=recursive, expand=expand)
        if folder and not entries:
            _no_entry(commit, f"{folder} does not exist")
        start = int(self.query.get("cursor", ["0"])[0])
        stop = start + (self.state.page_size or len(entries) + 1)
        headers = {"X-Repo-Commit": commit.sha}
        if stop < len(entries):
            query = urlencode({"recursive": recursive, "expand": expand, "cursor": stop})
            headers["Link"] = f'<{self.state.hub_origin}{self.raw_path}?{query}>; rel="next"'
        self.send_json(entries[start:stop], 200, headers)

    def _paths_info(self, repo: Repo, commit: Commit) -> None:
        files = self.state.faults.declared(repo.id, commit.files)
        expand = _true(self.form.get("expand", []))
        self._ok(payloads.paths_info(commit, files, self.form.get("paths", []), expand=expand))

    def _resolve(self, repo: Repo, commit: Commit, path: str) -> None:
        self._check_gate(repo)
        file = self.state.faults.declared(repo.id, commit.files).get(path)
        if file is None:
            _no_entry(commit, "Entry not found")
        headers = {"X-Repo-Commit": commit.sha}
        if file.lfs:
            headers |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(file.size)}
        if file.lfs and self.state.cdn_origin:
            self.send_empty(302, headers | {"Location": self._cdn_url(repo, commit, file)})
        else:
            self.send_file(file, headers)

    def _cdn_url(self, repo: Repo, commit: Commit, file: File) -> str:
        path = quote(f"/{repo.id}/blob/{commit.sha}/{file.path}")
        return f"{self.state.cdn_origin}{path}?{urlencode({'X-Amz-Signature': self.state.signature})}"

    def _whoami(self) -> None:
        tokens = {repo.token for repo in self.state.repos.values()}
        if self._token() is None or self._token() not in tokens:
            raise RefusalError(401, None, "Invalid credentials in Authorization header")
        token = {"displayName": "zoo", "role": "read"}
        auth = {"type": "access_token", "accessToken": token}
        self._ok({"type": "user", "id": "0" * 24, "name": "zoo", "orgs": [], "auth": auth})

    def _repo(self, segments: list[str]) -> tuple[Repo, list[str]]:
        found = self.state.find(segments)
        if found is None or (found[0].private and not self._opens(found[0])):
            self._no_repo()
        return found

    def _no_repo(self) -> NoReturn:
        """The real hub does not tell a stranger whether a repository is missing or private."""
        if self._token() is None:
            raise RefusalError(401, "RepoNotFound", "Invalid username or password.")
        raise RefusalError(404, "RepoNotFound", "Repository not found")

    def _commit(self, repo: Repo, revision: str) -> Commit:
        history = repo.history(revision)
        if history is None:
            raise RefusalError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return history[0]

    def _check_gate(self, repo: Repo) -> None:
        """A gated repository shows its listing to everyone, and its files to those who were let in."""
        if not repo.gated or self._opens(repo):
            return
        if self._token() is None:
            message = "You must have access to it and be authenticated to access it. Please log in."
            raise RefusalError(401, "GatedRepo", f"Access to model {repo.id} is restricted. {message}")
        message = f"Access to model {repo.id} is restricted and you are not in the authorized list."
        raise RefusalError(403, "GatedRepo", message)

    def _opens(self, repo: Repo) -> bool:
        return repo.token is not None and self._token() == repo.token

    def _token(self) -> str | None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" and token else None

    def _ok(self, value: object) -> None:
        self.send_json(value, 200, {})

    def _flag(self, name: str) -> bool:
        return _true(self.query.get(name, []))


class CdnHandler(Handler):
    """The data plane: `/{id}/blob/{commit}/{path}`, opened by the signature in the query alone."""

    origin = "cdn"

    def route(self) -> None:
        if self.query.get("X-Amz-Signature") != [self.state.signature]:
            raise RefusalError(403, None, "the address is not signed")
        found = self.state.find(self.segments)
        file = _blob(self.state.faults.declared(*_listing(*found)), found[1]) if found else None
        if file is None:
            raise RefusalError(404, None, "no such object")
        self.send_file(file, {})


def _listing(repo: Repo, rest: Sequence[str]) -> tuple[str, Mapping[str, File]]:
    match rest:
        case ["blob", sha, *_] if sha in repo.commits:
            return repo.id, repo.commits[sha].files
        case _:
            return repo.id, {}


def _blob(files: Mapping[str, File], rest: Sequence[str]) -> File | None:
    return files.get("/".join(rest[2:]))


def _no_entry(commit: Commit, message: str) -> NoReturn:
    raise RefusalError(404, "EntryNotFound", message, X_Repo_Commit=commit.sha)


def _true(values: Sequence[str]) -> bool:
    return values[:1] != [] and values[0].lower() in ("1", "true")
