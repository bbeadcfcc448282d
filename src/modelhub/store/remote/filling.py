"""Brings a blob's bytes from where they are read into a store on a folder, in ranges side by side."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from modelhub.facts import BlobRecord
from modelhub.refs import Digest
from modelhub.store.base import Store
from modelhub.store.blocks import BLOCK, Span
from modelhub.store.fsops import Watch
from modelhub.store.intake import Expected
from modelhub.store.ports import Part

_AT_ONCE = 4

ReadRange = Callable[[int, int], bytes]
"""Gives the bytes from the first to before the second offset."""


def fill(store: Store, digest: Digest, size: int, read: ReadRange, watch: Watch) -> BlobRecord:
    """Receive the blob, whose bytes `read` gives; what an earlier try has left is not read again.

    Raises:
        IntegrityError: other bytes came; nothing is under the digest.
        StoreFull, StoreUnavailable, and what `read` raises.
    """
    expect = Expected(sha256=digest, size=size, name=f"the blob {digest.short}")
    with store.receive(expect, check=watch.check) as part:
        if part.record is None:
            _write(part, read, watch)
        return part.record or part.finish(watch.check)


def _write(part: Part, read: ReadRange, watch: Watch) -> None:
    """Read what is missing and write it, a few blocks at once."""

    def one(span: Span) -> int:
        data = read(*span)
        part.write(span[0], memoryview(data))
        return len(data)

    spans = [piece for span in part.missing for piece in _pieces(span)]
    with ThreadPoolExecutor(_AT_ONCE, "modelhub-fill") as pool:
        running: set[Future[int]] = set()
        try:
            for span in spans:
                watch.check()
                running.add(pool.submit(one, span))
                if len(running) >= _AT_ONCE:
                    running = _reap(running, watch)
            while running:
                running = _reap(running, watch)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _reap(running: set[Future[int]], watch: Watch) -> set[Future[int]]:
    """Wait for one that ends; what it raised is raised."""
    done, left = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
    for each in done:
        watch.on_bytes(each.result())
    watch.check()
    return left


def _pieces(span: Span) -> list[Span]:
    start, end = span
    return [Span(at, min(end, at + BLOCK)) for at in range(start, end, BLOCK)]
