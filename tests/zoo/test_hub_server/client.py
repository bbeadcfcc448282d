"""What these tests share: a repository, and ways to ask for it."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import HfApi, hf_hub_download

from tests.zoo.hub_server import HubServer

REPO = "zoo/Tiny-Chat-GGUF"
TOKEN = "hf_" + "z" * 34
WEIGHTS = 3_000_001  # bytes: more than one chunk, and no multiple of one
CARD = """---
license: apache-2.0
pipeline_tag: text-generation
library_name: transformers
tags: [tiny, chat]
base_model: zoo/base
---
# Tiny
"""


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def api(server: HubServer, token: str | bool = False) -> HfApi:
    return HfApi(endpoint=server.endpoint, token=token)


def download(server: HubServer, name: str, cache: Path, **options: Any) -> bytes:
    asked: dict[str, Any] = {"repo_id": REPO, "token": False} | options
    return Path(
        hf_hub_download(filename=name, endpoint=server.endpoint, cache_dir=cache, **asked)
    ).read_bytes()


def fetch(
    server: HubServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, Message, bytes]:
    """One request by the standard library; a header's `_` is a `-`. Errors are answers too."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(server.endpoint + path, method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def url(name: str, repo: str = REPO, revision: str = "main") -> str:
    return f"/{repo}/resolve/{revision}/{name}"


def connect(endpoint: str) -> HTTPConnection:
    return HTTPConnection(urlsplit(endpoint).netloc, timeout=20)
