"""Brings files of a repository here, and puts them into a folder."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from modelhub.errors import ArtifactNotFound, IntegrityError, ModelHubError
from modelhub.facts import Call, PlannedFile, ProgressCallback, RepoListing, Snapshot
from modelhub.hub.fetching import Fetching
from modelhub.hub.places import Place
from modelhub.hub.repairing import Repairer
from modelhub.hub.resolve import Resolver, Target
from modelhub.jobs import Fetcher, Hold, Holds
from modelhub.refs import Digest, RepoPath
from modelhub.store import Level, LinkChoice

log = logging.getLogger(__name__)

MAX_ROUNDS = 6
"""How often a pull asks again for files that a job of somebody else did not bring here, that a purge of
another repository deleted before this one had linked them, or that were damaged."""


@dataclass(frozen=True, slots=True)
class Puller:
    """Fetches what is missing, and proves all of it."""

    resolver: Resolver
    fetching: Fetching
    fetcher: Fetcher
    repairer: Repairer
    holds: Holds
    level: Level

    def pull(
        self,
        target: Target,
        what: Mapping[str, str],
        wanted: Iterable[RepoPath],
        call: Call,
        on_progress: ProgressCallback | None = None,
        level: Level | None = None,
        mode: LinkChoice | None = None,
    ) -> Snapshot:
        """The files, verified, in a folder. `what` says in the job's row what they are.

        No purge takes the repository meanwhile. A blob that turns out to be damaged is put aside, and
        fetched anew. `level` says how much is read first; the Hub's own by default.

        Raises:
            IntegrityError: for a damaged blob that no source gives.
        """
        paths = sorted(set(wanted))
        listing = self.resolver.listing(target, paths)
        with self.holds.hold(
            target.record, f"pulling {target.report.repo}", _digests(listing, paths).values()
        ) as hold:
            return self._pull(
                target, what, listing, paths, hold, call, on_progress, level or self.level, mode
            )

    def _pull(
        self,
        target: Target,
        what: Mapping[str, str],
        listing: RepoListing,
        paths: Sequence[RepoPath],
        hold: Hold,
        call: Call,
        on_progress: ProgressCallback | None,
        level: Level,
        mode: LinkChoice | None,
    ) -> Snapshot:
        moved = 0
        wrong: ModelHubError | None = None
        for _ in range(MAX_ROUNDS):
            if missing := self.fetcher.missing(listing, paths):
                moved += self.fetching.fetch(target.record, listing, what, missing, call, on_progress)
                listing = self.resolver.listing(target, paths)
                hold.add(_digests(listing, [file.path for file in missing]).values())
                continue
            digests = _digests(listing, paths)
            self.fetcher.announce(target.record, listing)
            try:
                linked = self.fetcher.link(
                    listing.repo, listing.commit, digests, call, on_progress, level, mode
                )
                self.fetcher.remember(target.record, linked)
            except IntegrityError as error:
                moved += self.repairer.repair(error, call, on_progress, home=target.record.id)
                hold.add(Digest(digest) for digest in error.details["digests"])
                # All others were read: what they proved need not be proved again.
                wrong, level = error, "proof" if level == "full" else level
                continue
            except ArtifactNotFound as error:
                log.info(
                    "artifact_gone",
                    extra={"model_repo_name": target.report.repo, "hash": error.details["digests"][0]},
                )
                listing = self.resolver.listing(target, paths)
                continue
            reused = sum(file.size for file in linked.files) - moved
            return linked.model_copy(update={"fetched_bytes": moved, "reused_bytes": max(0, reused)})
        if wrong is not None:
            raise wrong
        names = ", ".join(file.path for file in self.fetcher.missing(listing, paths))
        raise ArtifactNotFound(
            f"{target.report.repo}: fetched, and not in the store: {names or 'what was there a moment ago'}",
            hint="Something else deletes files of the store; let modelhub alone do that.",
        )

    def lend(
        self,
        place: Place,
        files: Sequence[PlannedFile],
        call: Call,
        on_progress: ProgressCallback | None = None,
        level: Level | None = None,
        mode: LinkChoice | None = None,
    ) -> Snapshot | None:
        """The files in the folder of a repository that is not known here any more, where the store has all of
        them, whole; `None` where it does not. Asks nobody.
        """
        digests = {file.path: file.sha256 for file in files if file.sha256 and file.present}
        if len(digests) < len({file.path for file in files}):
            return None
        with self.holds.hold(None, f"linking {place.repo}", digests.values()):
            try:
                linked = self.fetcher.link(
                    place.id, place.commit, digests, call, on_progress, level or self.level, mode
                )
            except ArtifactNotFound:
                return None
            except IntegrityError as error:
                self.repairer.tell(error)
                return None
        size = sum(file.size for file in linked.files)
        return linked.model_copy(update={"fetched_bytes": 0, "reused_bytes": size})


def _digests(listing: RepoListing, paths: Iterable[RepoPath]) -> dict[RepoPath, Digest]:
    """The hashes of those of these files that are known, and whose names are."""
    known = ((path, listing.by_path.get(path)) for path in paths)
    return {path: file.sha256 for path, file in known if file is not None and file.sha256}


def whole(pulled: Mapping[Place, Snapshot]) -> Snapshot:
    """The first folder, with the others that belong to it."""
    first, *others = pulled.values()
    return first.model_copy(
        update={
            "fetched_bytes": sum(each.fetched_bytes for each in pulled.values()),
            "reused_bytes": sum(each.reused_bytes for each in pulled.values()),
            "others": tuple(others),
        }
    )
