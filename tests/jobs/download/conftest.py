"""A store with small blocks, servers that answer as a test says, and downloads between the two."""

import hashlib
import random

import pytest

from modelhub.facts import Call, RepoFile, RepoId, RepoListing
from modelhub.jobs.download import Measures, NoClaims, Origin, Shared, Transfer
from modelhub.refs import Digest, RepoPath
from modelhub.sources.huggingface import HuggingFaceSource
from modelhub.sources.transport import RetryPolicy, Transport
from modelhub.store import FileLedger, Store
from modelhub.store.parts import Grain
from tests.sources.origin import ranged

BLOCK = 64 << 10
SHORTEST = 4 * BLOCK
LARGE = 2_500_000
"""Bytes of a large file: nine ranges and a bit, not a multiple of a block."""


def content(size=LARGE, seed=1):
    return random.Random(seed).randbytes(size)


def repo_file(path, data, *, sha256=True):
    git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    digest = Digest(hashlib.sha256(data).hexdigest()) if sha256 else None
    return RepoFile(path=RepoPath(path), size=len(data), sha256=digest, git_oid=git)


def listed(path, size, sha256):
    """A file as a listing has it."""
    return RepoFile(path=path, size=size, sha256=sha256)


def served(contents):
    """What a good server answers for files by their paths."""

    def answer(seen):
        return ranged(seen, contents[seen.target.partition("?")[0].rsplit("/", 1)[-1]])

    return answer


class Context:
    """What a job gives its work."""

    def __init__(self, call=None, job=7):
        self.call = call or Call()
        self.job = type("Job", (), {"id": job})()
        self.seen = []
        self.on_progress = lambda report: None

    def progress(self, stage, done, total=None, item="", unit="bytes"):
        self.seen.append((done, total, item))
        self.on_progress(self.seen[-1])
        self.check()

    def check(self):
        self.call.check()


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store", FileLedger(tmp_path / "ledger.jsonl")) as made:
        made._parts.grain = Grain(block=BLOCK, checkpoint=BLOCK)
        yield made


@pytest.fixture
def shared(store):
    return Shared(store, NoClaims(), measures=Measures(shortest=SHORTEST, first=3))


class Downloads:
    """Downloads of `contents` from a server. `noted` is what was told to the registry, in batches."""

    def __init__(self, shared, waits, read_timeout=0.5):
        self.shared = shared
        self.noted = []
        self.context = Context()
        self.transport = Transport(
            connect_timeout=5,
            read_timeout=read_timeout,
            retry=RetryPolicy(sleep=waits.append),
            proxies={},
        )

    def origin(self, server, files):
        listing = RepoListing(
            repo=RepoId(source="huggingface", vendor="acme", name="tiny"),
            commit="c" * 40,
            revision="main",
            files=tuple(sorted(files, key=lambda file: file.path)),
            source_uri=f"{server.url}/acme/tiny",
        )
        source = HuggingFaceSource(server.url, "", transport=self.transport)
        return Origin(source, listing, 7)

    def run(self, server, files, context=None):
        transfer = Transfer(
            self.shared, self.origin(server, files), self.noted.append, context or self.context
        )
        return transfer.run(files)

    def holds(self, *contents):
        """Whether the store has just these bytes, each right."""
        root = self.shared.store.root / "blobs" / "sha256"
        blobs = {path.name: path.read_bytes() for path in root.glob("*/*")}
        assert all(hashlib.sha256(data).hexdigest() == name for name, data in blobs.items())
        return sorted(blobs.values()) == sorted(contents)


@pytest.fixture
def waits():
    """Seconds that retries wanted to sleep."""
    return []


@pytest.fixture
def downloads(shared, waits, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    made = Downloads(shared, waits)
    yield made
    made.transport.close()
