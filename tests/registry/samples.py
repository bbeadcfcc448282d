"""Facts to store, small ones that tests vary."""

from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from modelhub.facts import (
    Component,
    Evidence,
    FileKind,
    Model,
    RepoFile,
    RepoId,
    RepoListing,
    RepoRecord,
    RepoWarning,
    Variant,
)
from modelhub.refs import Digest, RepoPath
from modelhub.registry import Registry

only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
only_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)

QWEN = RepoId(source="huggingface", vendor="Qwen", name="Qwen3-0.6B-GGUF")
COMMIT = "a" * 40
OTHER = "b" * 40


def digest(text: str) -> Digest:
    return Digest.of(text.encode())


def file(path: str, *, sha256: Digest | None = None, **given: Any) -> RepoFile:
    return RepoFile(**({"path": RepoPath(path), "size": len(path), "sha256": sha256} | given))


_numbers = count(1)


def new_commit() -> str:
    """A commit that no other call gives."""
    return f"{next(_numbers):040x}"


FILES = (
    file("README.md", git_oid="c" * 40, kind=FileKind.CARD),
    file("q4/model-00001-of-00002.gguf", sha256=digest("one"), kind=FileKind.MODEL),
    file("q4/model-00002-of-00002.gguf", sha256=digest("two"), kind=FileKind.MODEL, xet_hash="d" * 64),
)


def listing(commit: str = COMMIT, **given: Any) -> RepoListing:
    values = {
        "repo": QWEN,
        "commit": commit,
        "revision": "main",
        "files": FILES,
        "source_uri": "https://hub.example/Qwen/Qwen3-0.6B-GGUF",
        "card": {"license": "apache-2.0", "eps": 1e-05, "nested": {"a": [1, None, True]}},
        "tags": ("gguf", "chat"),
        "pipeline_tag": "text-generation",
        "library_name": "gguf",
        "license": "apache-2.0",
        "last_modified": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    }
    return RepoListing(**(values | given))


def register(registry: Registry, repo: RepoId = QWEN, **given: Any) -> RepoRecord:
    with registry.begin() as tx:
        return tx.repos.register(repo, **({"source_uri": f"{repo.source}://{repo.id}"} | given))


def saved(registry: Registry, *listings: RepoListing) -> RepoRecord:
    """The record of the listings' repository, with all of them saved in turn."""
    record = register(registry, (listings or (listing(),))[0].repo)
    for one in listings or (listing(),):
        with registry.begin() as tx:
            tx.revisions.save(record.id, one)
    with registry.read() as tx:
        return tx.repos.get(record.id)


def model(**given: Any) -> Model:
    part = Component(
        name="model",
        repo=QWEN.id,
        commit=COMMIT,
        files=FILES[1:],
        folder="q4",
        format="gguf",
        precision="q4_k_m",
        parameters=596_049_920,
    )
    variant = Variant(name="q4_k_m", format="gguf", precision="q4_k_m", components=(part,))
    values = {
        "name": "qwen3-0.6b",
        "task": "text-generation",
        "category": "llm",
        "architecture": "qwen3",
        "context_length": 40_960,
        "details": {"rope_freq_base": 1e6, "eps": 1e-06},
        "variants": (variant,),
    }
    return Model(**(values | given))


EVIDENCE = (
    Evidence(subject="repo", key="license", value="apache-2.0", evidence="card", trust=30),
    Evidence(subject="repo", key="license", value=None, evidence="LICENSE is missing", trust=80),
)
WARNINGS = (RepoWarning(code="gated", text="ask its owner first"),)
