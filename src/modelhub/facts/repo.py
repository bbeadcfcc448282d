"""What a source says of a repository: its commit, its files, its card."""

from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated

from pydantic import Field

from modelhub.facts.base import Fact, JsonDict
from modelhub.refs import Digest, RepoPath

Bytes = Annotated[int, Field(ge=0, le=1 << 53)]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]


class FileKind(StrEnum):
    """What a repository's file is for."""

    MODEL = "model"
    CONFIG = "config"
    TOKENIZER = "tokenizer"
    CARD = "card"
    METADATA = "metadata"
    CODE = "code"
    OTHER = "other"


class SyncStatus(StrEnum):
    """Where the reading of a repository's metadata stands."""

    INIT = "init"
    SYNC_READY = "sync_ready"
    SYNCING = "syncing"
    ERROR = "error"
    COMPLETED = "completed"


class RepoId(Fact):
    """Which repository: a source's name, a vendor, a name, each as the source spells it."""

    source: str
    vendor: str
    name: str

    @property
    def id(self) -> str:
        """`vendor/name`; only the name where the source has no vendors (`gpt2`)."""
        return f"{self.vendor}/{self.name}" if self.vendor else self.name

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same repository: names compare without case."""
        return self.source, self.vendor.casefold(), self.name.casefold()


class RepoRecord(Fact):
    """A registered repository.

    `git_head` is the commit of the default branch when last synced; `updated_at` is when anything that is
    known of it changed last, also by what it builds on. One that is `pinned` makes no room for others in a
    store with a quota.
    """

    id: int
    repo: RepoId
    source_uri: str
    default_branch: str = "main"
    git_head: str | None = None
    sync_status: SyncStatus = SyncStatus.INIT
    sync_error: JsonDict | None = None
    task_hints: tuple[str, ...] = ()
    preferred_format: str | None = None
    preferred_precision: str | None = None
    quantization_targets: tuple[str, ...] = ()
    pinned: bool = False
    created_at: datetime
    updated_at: datetime | None = None
    last_synced_at: datetime | None = None

    def __str__(self) -> str:
        at = f" at {self.git_head[:12]}" if self.git_head else ""
        return f"{self.repo.id} from {self.repo.source}{at}: {self.sync_status}"


class RepoFile(Fact):
    """One file of a repository at a commit.

    `sha256` is the hash of the content where it is known (declared by the source, or computed
    once the file was here); `git_oid` is git's blob id of what git stores, which for a large
    file is only its pointer. `size` is in bytes.
    """

    path: RepoPath
    size: Bytes
    sha256: Digest | None = None
    git_oid: str | None = None
    xet_hash: str | None = None
    kind: FileKind = FileKind.OTHER


class RepoRef(Fact):
    """That a branch or tag meant a commit, from when to when it was last seen so."""

    name: str
    commit: Commit
    first_seen_at: datetime
    last_seen_at: datetime

    def __str__(self) -> str:
        first, last = (f"{moment:%Y-%m-%d %H:%M}" for moment in (self.first_seen_at, self.last_seen_at))
        seen = f"at {first}" if first == last else f"from {first} to {last}"
        return f"{self.name} was {self.commit[:12]} {seen}"


class RepoListing(Fact):
    """A repository at one commit, as its source describes it. No file has been read for it."""

    repo: RepoId
    commit: Commit
    revision: str
    default_branch: str = "main"
    files: tuple[RepoFile, ...]
    source_uri: str
    card: JsonDict = Field(default_factory=dict)
    tags: tuple[str, ...] = ()
    pipeline_tag: str | None = None
    library_name: str | None = None
    license: str | None = None
    gated: bool = False
    private: bool = False
    last_modified: datetime | None = None

    @cached_property
    def by_path(self) -> dict[str, RepoFile]:
        """The files by their paths."""
        return {file.path: file for file in self.files}
