"""A hub whose files come by sendfile: `python fetch_server.py FOLDER` prints its address.

Each subfolder of FOLDER is the repository `bench/<name>`, at one commit. Only what `hf download`, curl and
modelhub ask of the protocol is here, so that the server costs as little of the machine as it can.
"""

import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "c" * 40


class Repos:
    """Each repository's files: path, size, sha256."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.trees = {
            folder.name: [
                self._entry(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()
            ]
            for folder in root.iterdir()
        }

    @staticmethod
    def _entry(folder: Path, path: Path) -> dict[str, object]:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        return {
            "type": "file",
            "path": path.relative_to(folder).as_posix(),
            "size": size,
            "oid": digest[:40],
            "lfs": {"oid": digest, "size": size, "pointerSize": 130},
        }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    repos: Repos

    def do_GET(self) -> None:
        parts = unquote(self.path.partition("?")[0]).strip("/").split("/")
        if parts[:2] == ["api", "models"] and len(parts) > 3 and parts[3] in self.repos.trees:
            self._api(parts[3], parts[4:])
        elif len(parts) > 4 and parts[2] == "resolve":
            self._file(parts[1], "/".join(parts[4:]))
        else:
            self._json({"error": "not found"}, 404)

    do_HEAD = do_GET  # noqa: N815 - http.server looks it up

    def _api(self, name: str, rest: list[str]) -> None:
        if rest[:1] == ["tree"]:
            self._json(self.repos.trees[name])
            return
        siblings = [{"rfilename": entry["path"]} for entry in self.repos.trees[name]]
        info = {"id": f"bench/{name}", "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}
        self._json({**info, "gated": False, "disabled": False, "downloads": 0, "likes": 0})

    def _json(self, value: object, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _file(self, name: str, path: str) -> None:
        entry = next(entry for entry in self.repos.trees[name] if entry["path"] == path)
        size, digest = int(str(entry["size"])), entry["lfs"]["oid"]  # type: ignore[index]
        start, stop = 0, size
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(size, int(last) + 1 if last else size)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        for header, value in {
            "Content-Length": stop - start,
            "ETag": f'"{digest}"',
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": size,
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
        }.items():
            self.send_header(header, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.flush()
            with (self.repos.root / name / path).open("rb") as file:
                self.connection.sendfile(file, start, stop - start)

    def log_message(self, *args: object) -> None:
        """Quiet."""


def main() -> None:
    Handler.repos = Repos(Path(sys.argv[1]))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
