"""Fetches files of a commit, as a job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelhub.facts import Call, JobKind, ProgressCallback, RepoFile, RepoListing, RepoRecord
from modelhub.hub.resolve import Resolver
from modelhub.jobs import Fetcher, Jobs
from modelhub.store import Store


@dataclass(frozen=True, slots=True)
class Fetching:
    """Who asks for the same files at once waits for one job."""

    resolver: Resolver
    jobs: Jobs
    fetcher: Fetcher
    store: Store

    def fetch(
        self,
        record: RepoRecord,
        listing: RepoListing,
        what: Mapping[str, str],
        missing: Sequence[RepoFile],
        call: Call,
        on_progress: ProgressCallback | None,
    ) -> int:
        """Bring `missing` files of a commit here: the bytes that moved. `what` says in the job's row what
        they are.

        Raises:
            Offline: when its source is remote and this Hub is offline.
        """
        source = self.resolver.source(record.repo.source)
        repo, commit = listing.repo.id, listing.commit
        # Somebody who fetches other files, or into another store, does other work.
        key = f"{source.name}://{repo}@{commit}:{':'.join(what.values())}"
        try:
            output = self.jobs.run(
                JobKind.ARTIFACT_DOWNLOAD,
                f"artifact_download:{key}:{self.store.uri}",
                {"repo": repo, "commit": commit, **what, "store": self.store.uri},
                lambda context: {"bytes": self.fetcher.fetch(record, listing, missing, source, context)},
                call=call,
                on_progress=on_progress,
            )
        finally:
            self.resolver.forget_reports()
        return int(str(output["bytes"]))
