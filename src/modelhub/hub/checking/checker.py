"""Compares a store with the database, and brings the two together again."""

import logging
from dataclasses import dataclass

from modelhub.errors import StoreUnavailable
from modelhub.facts import Call, ProgressCallback, StoreCheck
from modelhub.hub.checking.bucket import BucketRun
from modelhub.hub.checking.folder import STOPPED, FolderRun
from modelhub.hub.checking.home import Home
from modelhub.hub.checking.leftovers import Leftovers
from modelhub.jobs import Holds
from modelhub.registry import FetchClaims

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checker(Home):
    """Never deletes what it does not understand, and moves nothing aside but what has a wrong hash."""

    holds: Holds

    def check(
        self, call: Call, show: ProgressCallback | None, *, repair: bool, deep: bool
    ) -> StoreCheck:
        """Look at every blob, row, snapshot and leftover; see `StoreKeeping.check`.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        kind = FolderRun if self.store.uri.startswith("file:") else BucketRun
        claims = FetchClaims(self.registry, self.place)
        left = Leftovers(claims, self.holds, self.store).check(repair=repair)
        try:
            report = kind(self, call, show, repair=repair, deep=deep, faults=[*left]).report()
        except STOPPED:
            raise
        except OSError as error:
            raise StoreUnavailable(
                f"the store {self.store.uri} cannot be read: {error.strerror} ({error.filename})",
                hint="Look at the folder's disk and its permissions.",
            ) from error
        figures = {"blobs": report.blobs, "faults": len(report.faults), "left": len(report.left)}
        log.info("store_checked", extra=figures)
        return report
