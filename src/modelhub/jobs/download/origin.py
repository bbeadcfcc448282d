"""Where the files of one download come from, and what is promised of them."""

import logging
import time
from dataclasses import dataclass
from typing import NamedTuple

from modelhub.facts import RepoFile, RepoListing
from modelhub.refs import Digest
from modelhub.sources import Reader, Source
from modelhub.store import Expected

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Origin:
    """A repository at a commit, at its source; and the job that it is fetched for."""

    source: Source
    listing: RepoListing
    job_id: int

    def reader(self, file: RepoFile) -> Reader:
        """What opens ranges of one version of `file`."""
        return self.source.reader(self.listing, file)

    def name(self, file: RepoFile) -> str:
        """What makes the bytes of `file` one thing, whoever asks for them."""
        return file.sha256 or f"{self.listing.repo.id}@{self.listing.commit}/{file.path}"

    def begin(self, file: RepoFile) -> float:
        """Say that `file` is fetched now; when that is."""
        log.info("artifact_download_start", extra=self.log_fields(file))
        return time.monotonic()

    def log_fields(self, file: RepoFile) -> dict[str, object]:
        """What logs say of `file`."""
        listing = self.listing
        return {
            "model_repo_name": listing.repo.id,
            "revision": listing.commit,
            "file_path": file.path,
            "job_id": self.job_id,
        }


class Fetched(NamedTuple):
    """A file that is in the store, how many bytes moved for it, and when that began (`monotonic`)."""

    file: RepoFile
    digest: Digest
    moved: int
    began: float


def expected(file: RepoFile) -> Expected:
    """What the store holds the bytes of `file` to."""
    return Expected(sha256=file.sha256, size=file.size, git_oid=file.git_oid, name=file.path)
