"""`hub.store`: what keeps the bytes in order."""

from dataclasses import dataclass
from datetime import timedelta

from modelhub.facts import JobKind, JsonDict, Scrub
from modelhub.hub.calls import Calls
from modelhub.hub.how import Shown
from modelhub.hub.scrubbing import Scrubber, ScrubOrder
from modelhub.jobs import Jobs
from modelhub.progress import reporter
from modelhub.store import Store


@dataclass(frozen=True, slots=True)
class StoreKeeping:
    """The upkeep of a Hub's store; also `modelhub store …`."""

    _store: Store
    _jobs: Jobs
    _calls: Calls
    _scrubber: Scrubber
    _progress: Shown = None

    def scrub(
        self,
        *,
        rate: int | str | None = None,
        limit: int | str | None = None,
        older_than: float | timedelta | None = None,
        timeout: float | None = None,
        progress: Shown = None,
    ) -> Scrub:
        """Hash what the store has again, whole, what was hashed longest ago first. Opens no socket.

        `rate` is how many bytes a second it reads at most (`"100MB/s"`, or a number); `limit` about how
        many bytes in all (`"50GB"`); only blobs are read that were hashed `older_than` ago (seconds, or a
        `timedelta`). What is damaged is moved aside. A scrub that was stopped is gone on with by the next.
        Two at once are one: the second waits for the first, and has its report.

        Raises:
            InvalidInput: for a rate, a limit or an age that is none.
            Cancelled, DeadlineExceeded
        """
        order = ScrubOrder.of(rate, limit, older_than)
        shown = self._progress if progress is None else progress
        wanted: JsonDict = {"store": self._store.uri, "rate": order.rate, "limit": order.limit}
        with self._calls.serve(timeout) as call, reporter(shown) as show:
            output = self._jobs.run(
                JobKind.STORE_SCRUB,
                f"store_scrub:{self._store.uri}",
                wanted | {"before": order.before.isoformat()},
                lambda context: self._scrubber.scrub(order, context),
                call=call,
                on_progress=show,
            )
        return Scrub.model_validate(output)
