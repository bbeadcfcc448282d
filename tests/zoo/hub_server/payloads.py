"""The JSON values of the hub's API, from commits. Pure functions; key names are the hub's."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from .content import Commit, File, Repo

Json = dict[str, Any]
_ALWAYS = ("_id", "id", "modelId")
_FORMATS = ("gguf", "onnx", "safetensors")
_TAGGED = {"dataset": "datasets", "base_model": "base_model", "license": "license"}  # tag to card key


def model_info(
    repo: Repo, commit: Commit, files: Mapping[str, File], *, blobs: bool, security: bool
) -> Json:
    """What `GET /api/models/{id}` says; `files` is the commit's listing as it is declared."""
    info: Json = {
        "_id": hashlib.sha1(repo.id.encode(), usedforsecurity=False).hexdigest()[:24],
        "id": repo.id,
        "modelId": repo.id,
        "author": repo.id.rpartition("/")[0] or None,
        "sha": commit.sha,
        "private": repo.private,
        "gated": "manual" if repo.gated is True else repo.gated,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": _tags(commit),
        "createdAt": _time(min(known.date for known in repo.commits.values())),
        "lastModified": _time(commit.date),
        "usedStorage": sum(file.size for file in files.values()),
        "spaces": [],
        "siblings": [_sibling(file, blobs=blobs) for file in files.values()],
    }
    card = commit.card
    info |= {key: card[key] for key in ("pipeline_tag", "library_name") if key in card}
    info |= {"cardData": card} if card else {}
    info |= {"securityRepoStatus": {"scansDone": True, "filesWithIssues": []}} if security else {}
    return info


def only(info: Json, expand: Iterable[str]) -> Json:
    """The answer to `?expand=a&expand=b`: those properties and the names of the repository."""
    return {key: info[key] for key in (*_ALWAYS, *expand) if key in info}


def tree(
    commit: Commit, files: Mapping[str, File], folder: str, *, recursive: bool, expand: bool
) -> list[Json]:
    """The entries below `folder` ("" for the root), by path; empty where there is no such folder."""
    start = f"{folder}/" if folder else ""
    inside = [file for file in files.values() if file.path.startswith(start)]
    folders = {parent for file in inside for parent in _parents(file.path) if parent.startswith(start)}
    entries = [file_entry(commit, file, expand=expand) for file in inside]
    entries += [_folder_entry(commit, path, expand=expand) for path in folders]
    if not recursive:
        entries = [entry for entry in entries if "/" not in entry["path"].removeprefix(start)]
    return sorted(entries, key=lambda entry: str(entry["path"]))


def paths_info(
    commit: Commit, files: Mapping[str, File], paths: Iterable[str], *, expand: bool
) -> list[Json]:
    """The entries of `paths`, files or folders; unknown ones are simply missing."""
    folders = {parent for file in files.values() for parent in _parents(file.path)}
    entries = []
    for path in paths:
        if path in files:
            entries.append(file_entry(commit, files[path], expand=expand))
        elif path in folders:
            entries.append(_folder_entry(commit, path, expand=expand))
    return entries


def refs(repo: Repo, *, include_prs: bool) -> Json:
    answer = {
        "branches": _refs(repo, "refs/heads/"),
        "converts": _refs(repo, "refs/convert/"),
        "tags": _refs(repo, "refs/tags/"),
    }
    return answer | ({"pullRequests": _refs(repo, "refs/pr/")} if include_prs else {})


def commits(history: Iterable[Commit]) -> list[Json]:
    return [
        {
            "id": commit.sha,
            "title": commit.title,
            "message": "",
            "authors": [{"user": "zoo"}],
            "date": _time(commit.date),
        }
        for commit in history
    ]


def file_entry(commit: Commit, file: File, *, expand: bool) -> Json:
    entry: Json = {"type": "file", "oid": file.oid, "size": file.size, "path": file.path}
    if file.lfs:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    if expand:
        scan = {"status": "unscanned"}
        entry["securityFileStatus"] = {"status": "safe", "avScan": scan, "pickleImportScan": scan}
    return entry | (_last_commit(commit) if expand else {})


def _folder_entry(commit: Commit, path: str, *, expand: bool) -> Json:
    oid = hashlib.sha1(f"{commit.sha}/{path}".encode(), usedforsecurity=False).hexdigest()
    entry: Json = {"type": "directory", "oid": oid, "size": 0, "path": path}
    return entry | (_last_commit(commit) if expand else {})


def _last_commit(commit: Commit) -> Json:
    return {"lastCommit": {"id": commit.sha, "title": commit.title, "date": _time(commit.date)}}


def _sibling(file: File, *, blobs: bool) -> Json:
    if not blobs:
        return {"rfilename": file.path}
    entry: Json = {"rfilename": file.path, "blobId": file.oid, "size": file.size}
    if file.lfs:
        entry["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    return entry


def _tags(commit: Commit) -> list[str]:
    """The card's tags with those that the hub derives, in its order, each once."""
    card = commit.card
    found: list[object] = [card.get("library_name")]
    suffixes = {path.rpartition(".")[2] for path in commit.files}
    found += [name for name in _FORMATS if name in suffixes]
    found += [card.get("pipeline_tag"), *_listed(card.get("tags")), *_listed(card.get("language"))]
    for tag, key in _TAGGED.items():
        found += [f"{tag}:{value}" for value in _listed(card.get(key))]
    return list(dict.fromkeys(str(tag) for tag in found if tag))


def _listed(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _refs(repo: Repo, prefix: str) -> list[Json]:
    named = sorted((ref, history[0].sha) for ref, history in repo.refs.items() if ref.startswith(prefix))
    return [{"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": sha} for ref, sha in named]


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return [parent for i in range(1, len(parts)) if (parent := "/".join(parts[:i]))]


def _time(date: datetime) -> str:
    return date.strftime("%Y-%m-%dT%H:%M:%S.000Z")
