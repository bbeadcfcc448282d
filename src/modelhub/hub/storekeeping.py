"""`hub.store`: what keeps the bytes in order."""

import os
from dataclasses import dataclass

from modelhub.facts import (
    Collection,
    JobKind,
    JsonDict,
    Scrub,
    StoreCapabilities,
    StoreCheck,
    StoreMove,
    Usage,
)
from modelhub.hub.calls import Calls
from modelhub.hub.checking import Checker
from modelhub.hub.collecting import DAY, HOUR, Collector, Rules
from modelhub.hub.how import Model, Shown
from modelhub.hub.idling import IdleScrub
from modelhub.hub.moving import Mover
from modelhub.hub.scrubbing import ScrubOrder
from modelhub.hub.spans import Span, seconds_of
from modelhub.hub.using import Accountant
from modelhub.jobs import Jobs, Spare
from modelhub.progress import reporter
from modelhub.refs import ModelRef
from modelhub.store import Store


@dataclass(frozen=True, slots=True)
class StoreKeeping:
    """The upkeep of a Hub's store; also `modelhub store …`."""

    _store: Store
    _jobs: Jobs
    _calls: Calls
    _collector: Collector
    _accountant: Accountant
    _checker: Checker
    _mover: Mover
    _progress: Shown = None

    @property
    def capabilities(self) -> StoreCapabilities:
        """Which links and locks the file system under the store has, found out by trying."""
        with self._calls.serve():
            return self._store.capabilities

    def scrub(
        self,
        *,
        rate: int | str | None = None,
        limit: int | str | None = None,
        older_than: Span | None = None,
        timeout: float | None = None,
        progress: Shown = None,
    ) -> Scrub:
        """Hash what the store has again, whole, what was hashed longest ago first.

        `rate` is how many bytes a second it reads at most (`"100MB/s"`, or a number); `limit` about how
        many bytes in all (`"50GB"`); only blobs are read that were hashed `older_than` ago (seconds, or a
        `timedelta`). What is damaged is moved aside, and fetched anew; no socket is
        opened otherwise. A scrub that was stopped is gone on with by the next.
        Two at once are one: the second waits for the first, and has its report.

        Raises:
            InvalidInput: for a rate, a limit or an age that is none.
            Cancelled, DeadlineExceeded
        """
        order = ScrubOrder.of(rate, limit, older_than)
        shown = self._progress if progress is None else progress
        age = None if older_than is None else seconds_of("older_than", older_than)
        wanted: JsonDict = {"rate": order.rate, "limit": order.limit, "older_than": age}
        with self._calls.serve(timeout) as call, reporter(shown) as show:
            output = self._jobs.do(JobKind.STORE_SCRUB, call=call, on_progress=show, **wanted)
        return Scrub.model_validate(output)

    def idle_scrub(self, *, rate: int | str = "50MB/s", older_than: Span = 30 * DAY) -> Spare:
        """For `hub.jobs.work(spare=…)`: while such a worker has nothing to do, it scrubs what was not hashed
        for `older_than` (seconds, or a `timedelta`), at `rate`, ten minutes or a blob at a time, by one
        worker at a time.

        Raises:
            InvalidInput: for a rate or an age that is none.
        """
        scrub = IdleScrub.of(self._store, self._jobs, rate, older_than)
        return Spare(JobKind.STORE_SCRUB.value, scrub.offer)

    def usage(self, model: Model | None = None) -> Usage:
        """How much the store holds, what each repository and component has of it, and what sharing saves.

        With `model`, of that repository alone, also of a forgotten one. Looks at every file; opens no socket.

        Raises:
            RepositoryNotFound: for what is not known here.
            StoreUnavailable: when the store cannot be looked through.
        """
        with self._calls.serve():
            return self._accountant.usage(None if model is None else ModelRef.parse(model))

    def gc(
        self,
        *,
        dry_run: bool = False,
        forgotten: bool = False,
        grace: Span = HOUR,
        orphans: Span = DAY,
        parts: Span = 7 * DAY,
        quarantine: Span = 30 * DAY,
        timeout: float | None = None,
        progress: Shown = None,
    ) -> Collection:
        """Delete what no repository, snapshot, model, lease or running job needs. Opens no socket.

        Each thing goes only when it was not used for a time, in seconds or as a `timedelta`: blobs and
        folders for `grace`, files that no record knows for `orphans`, interrupted downloads for `parts`,
        damaged bytes that were put aside for `quarantine`. With `forgotten` what only forgotten repositories
        have goes too; their records stay. `dry_run` says what would go and why. Safe beside whatever other
        processes fetch, load and purge.

        Raises:
            InvalidInput: for what is no time.
            StoreUnavailable: when a file cannot be deleted; the next collection goes on.
            Cancelled, DeadlineExceeded
        """
        spans = {"grace": grace, "orphans": orphans, "parts": parts, "quarantine": quarantine}
        rules = Rules.of(forgotten=forgotten, **spans)
        shown = self._progress if progress is None else progress
        with self._calls.serve(timeout) as call, reporter(shown) as show:
            if dry_run:
                return self._collector.survey(rules)
            output = self._jobs.do(JobKind.STORE_GC, call=call, on_progress=show, **rules.dump())
        return Collection.model_validate(output)

    def check(
        self,
        *,
        repair: bool = False,
        deep: bool = False,
        timeout: float | None = None,
        progress: Shown = None,
    ) -> StoreCheck:
        """Compare the store's folder with the database: blobs, snapshots, block tables, and what dead work
        left. Opens no socket, but to a bucket.

        With `repair` the two are brought together: what is gone is noted, so that the next pull fetches it;
        what nobody knew is hashed and noted; what turns out wrong is moved aside; snapshots are linked
        again. Nothing is deleted but checksums of blobs that are gone, what dead writers left in `tmp`, and
        claims and leases that are over or whose process is gone.
        `deep` hashes every blob. A store in a bucket has its objects listed and compared, and this host's
        copies and snapshots looked at; what is wrong in either is brought back from the other.

        Raises:
            StoreUnavailable: the store cannot be read.
            Cancelled, DeadlineExceeded
        """
        shown = self._progress if progress is None else progress
        with self._calls.serve(timeout) as call, reporter(shown) as show:
            return self._checker.check(call, show, repair=repair, deep=deep)

    def move(
        self,
        place: str | os.PathLike[str],
        *,
        delete_old: bool = False,
        dry_run: bool = False,
        timeout: float | None = None,
        progress: Shown = None,
    ) -> StoreMove:
        """Bring all that the store has to another place, a folder or a URI. Opens no socket but to a bucket.

        Each blob gets a second name there where that can be, else it is copied and hashed; snapshots are linked
        anew. Only when all of it is there and proven do the records lead there, in one transaction. Until then
        the store is as it was, and who moves it again after a stop goes on. Afterwards this Hub is of no use:
        close it, and open one with `store=place`. The old place is kept, or deleted with `delete_old`; with the
        store's own place, `delete_old` deletes those that it was moved from. `dry_run` says what would be done.

        Raises:
            InvalidInput: for what is no place, or one within the other.
            InUse: a model is loaded from it, or something is fetched; `details["holders"]`.
            StoreFull: before the first byte, with the arithmetic.
            StoreUnavailable: the new place has something else in it, or cannot be written.
            Cancelled, DeadlineExceeded
        """
        shown = self._progress if progress is None else progress
        with self._calls.serve(timeout) as call, reporter(shown) as show:
            if delete_old and self._mover.is_own(place):
                return self._mover.delete_left()
            goal = self._mover.goal(place)
            if dry_run:
                return self._mover.survey(goal)
            self._jobs.reap()
            source = self._mover.ledger.key.uri
            output = self._jobs.run(
                JobKind.STORE_MOVE,
                f"store_move:{source}",
                {"store": source, "target": goal.store},
                lambda context: self._mover.move(goal, context, delete_old=delete_old),
                call=call,
                on_progress=show,
            )
        return StoreMove.model_validate(output)
