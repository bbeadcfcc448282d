"""Who takes a lease on bytes in the moment in which a collection marks them: in any order, one sees the other."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from datetime import timedelta

import pytest
from sqlalchemy import text

from modelhub.registry.garbage import Garbage
from tests.registry.samples import digest, file, only_postgres
from tests.registry.test_leases import held
from tests.registry.test_removals import STORE, doomed, stored

STRAY = file("stray.gguf", sha256=digest("stray"))
WAIT = 60
A_WHILE = 0.3
"""Seconds in which somebody who is not made to wait has long been done."""


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as made:
        yield made


def lease(registry, barrier=None, go_on=None):
    """Take a lease on the bytes; stand still before it is committed, if told to."""
    with registry.begin() as tx:
        number = tx.leases.take(
            None,
            store=STORE,
            owner="h:1:a",
            host="h",
            purpose="reading",
            seconds=60,
            digests=[STRAY.sha256],
        )
        if barrier is not None:
            barrier.set()
            assert go_on.wait(WAIT)
    return number


def collect(registry):
    with registry.begin() as tx:
        return tx.garbage.mark(STORE, [STRAY.sha256], timedelta(0))


def release(registry, number):
    with registry.begin() as tx:
        tx.leases.release(number)


def waits(future):
    """Whether it is made to wait."""
    try:
        future.result(A_WHILE)
    except NotYet:
        return True
    return False


def test_a_lease_that_is_not_committed_yet_is_seen_by_the_collection_that_waits_for_it(
    registry, pool, rounds
):
    stored(registry, STRAY)
    for _ in range(rounds(5, 50)):
        taken, go_on = threading.Event(), threading.Event()
        leasing = pool.submit(lease, registry, taken, go_on)
        assert taken.wait(WAIT)
        collecting = pool.submit(collect, registry)
        assert waits(collecting)
        go_on.set()
        assert collecting.result(WAIT) == 0
        assert held(registry) == {STRAY.sha256}
        assert doomed(registry) == set()
        release(registry, leasing.result(WAIT))


def test_a_lease_that_comes_while_the_mark_is_not_committed_yet_holds_nothing(registry, pool, rounds):
    for _ in range(rounds(5, 50)):
        stored(registry, STRAY)  # which takes a mark back
        marked, go_on = threading.Event(), threading.Event()

        def collecting(marked=marked, go_on=go_on):
            with registry.begin() as tx:
                count = tx.garbage.mark(STORE, [STRAY.sha256], timedelta(0))
                marked.set()
                assert go_on.wait(WAIT)
            return count

        marking = pool.submit(collecting)
        assert marked.wait(WAIT)
        leasing = pool.submit(lease, registry)
        assert waits(leasing)
        go_on.set()
        assert marking.result(WAIT) == 1
        number = leasing.result(WAIT)
        assert held(registry) == set()  # so it must be fetched
        assert doomed(registry) == {STRAY.sha256}
        release(registry, number)


def test_both_at_once_never_give_a_lease_on_bytes_that_are_marked(registry, pool, rounds):
    seen, dice = {"held": 0, "marked": 0}, random.Random(7)
    for _ in range(rounds(20, 200)):
        stored(registry, STRAY)
        barrier = threading.Barrier(2)

        def first(work, after, barrier=barrier):
            barrier.wait(WAIT)
            time.sleep(after)
            return work(registry)

        head_start = dice.uniform(0, 0.01)
        leasing = pool.submit(first, lease, 0)
        marking = pool.submit(first, collect, head_start)
        number, marked = leasing.result(WAIT), marking.result(WAIT)
        got = held(registry) == {STRAY.sha256}
        assert got != bool(marked)
        assert (doomed(registry) == {STRAY.sha256}) == bool(marked)
        seen["held" if got else "marked"] += 1
        release(registry, number)
    print(seen)  # noqa: T201 - shown by a failure


@only_postgres
def test_the_naive_way_loses_a_leased_blob(registry, pool):
    """A lease that only locks the row, and a collection that asks in the statement that waits for the lock."""
    stored(registry, STRAY)
    locked, go_on = threading.Event(), threading.Event()

    def naive_lease():
        with registry.begin() as tx:
            run = tx.session.execute
            run(text("SELECT id FROM artifact_location FOR UPDATE"))
            run(
                text(
                    "INSERT INTO lease (store_id, owner, host, purpose, expires_at, created_at, updated_at)"
                    " SELECT id, 'h:1:a', 'h', 'reading', now() + interval '1 hour', now(), now() FROM store"
                )
            )
            run(
                text(
                    "INSERT INTO lease_artifact (lease_id, artifact_id)"
                    " SELECT lease.id, artifact_id FROM lease, artifact_location"
                )
            )
            locked.set()
            assert go_on.wait(WAIT)

    def naive_collection():
        with registry.begin() as tx:
            marked = tx.session.execute(
                text(
                    "UPDATE artifact_location SET state = 'deleting' WHERE NOT EXISTS (SELECT 1 FROM"
                    " lease_artifact WHERE lease_artifact.artifact_id = artifact_location.artifact_id)"
                )
            )
            return marked.rowcount

    leasing = pool.submit(naive_lease)
    assert locked.wait(WAIT)
    collecting = pool.submit(naive_collection)
    assert waits(collecting)
    go_on.set()
    leasing.result(WAIT)
    assert collecting.result(WAIT) == 1
    assert held(registry) == doomed(registry) == {STRAY.sha256}  # leased, and about to be deleted


def test_the_mark_asks_again_whatever_was_found_before(registry):
    stored(registry, STRAY)
    with registry.read() as tx:
        assert [one.digest for one in Garbage(tx.session).unneeded(STORE, timedelta(0))] == [
            STRAY.sha256
        ]
    lease(registry)
    assert collect(registry) == 0
