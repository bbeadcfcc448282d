"""Who takes bytes in the moment in which a purge forgets them: one of the two waits, and none fails."""

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from functools import partial

import pytest
from sqlalchemy import delete, select

from modelhub.errors import RegistryError, RevisionNotFound
from modelhub.facts import BlobRecord, BlobState, JobKind, SnapshotFile
from modelhub.registry import StoreLedger, artifacts, removals
from modelhub.registry.tables import (
    ArtifactLocationRow,
    ArtifactRow,
    SnapshotRow,
)
from tests.registry.samples import COMMIT, file, listing, only_postgres, saved
from tests.registry.samples import digest as digest_of
from tests.registry.test_removals import STORE, remove, stored

ONE = file("one.gguf", sha256=digest_of("one"))
WAIT = 60
A_WHILE = 0.3
"""Seconds in which somebody who is not made to wait has long been done."""


@pytest.fixture
def record(registry):
    """A repository whose one file is in the store, and in no other repository."""
    record = saved(registry, listing(files=(ONE,)))
    stored(registry, ONE)
    return record


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as made:
        yield made


def meanwhile(pool, patch, place, name, work):
    """Let `work` begin right after `place.name` was called first, and go on when it ended or has to wait."""
    real, begun = getattr(place, name), []

    def calling(*given, **named):
        done = real(*given, **named)
        if not begun:
            begun.append(pool.submit(work))
            with suppress(NotYet):
                begun[0].exception(A_WHILE)
        return done

    patch.setattr(place, name, calling)
    return begun


def located(registry):
    with registry.read() as tx:
        states = select(ArtifactRow.hash_sha256, ArtifactLocationRow.state).join(ArtifactLocationRow)
        return dict(map(tuple, tx.session.execute(states)))


def ledger(registry):
    return StoreLedger(registry, STORE.uri, host=STORE.host)


def blob(state=BlobState.PRESENT):
    return BlobRecord(digest=ONE.sha256, size=ONE.size, state=state, path=f"blobs/{ONE.sha256}")


def gone(registry):
    with registry.begin() as tx:
        tx.removals.gone(ONE.sha256, STORE)


def test_bytes_that_are_written_down_while_what_was_known_of_them_goes_are_there(
    registry, record, pool, rounds
):
    """The one who stores them has read the number of their row; then the purge deletes that row."""
    remove(registry, record)
    for _ in range(rounds(20, 200)):
        with pytest.MonkeyPatch.context() as patch:
            begun = meanwhile(pool, patch, artifacts, "_known", lambda: gone(registry))
            ledger(registry).record([blob()])
        assert begun[0].result(WAIT) is None
        assert located(registry) == {ONE.sha256: "present"}
        with registry.begin() as tx:
            tx.session.execute(ArtifactLocationRow.__table__.update().values(state="deleting"))


def test_bytes_that_are_written_down_while_they_are_marked_are_there_or_marked(registry, pool, rounds):
    for _ in range(rounds(20, 200)):
        record = saved(registry, listing(files=(ONE,)))
        ledger(registry).record([blob()])
        with pytest.MonkeyPatch.context() as patch:
            begun = meanwhile(pool, patch, artifacts, "_known", partial(remove, registry, record))
            ledger(registry).record([blob()])
        assert begun[0].result(WAIT).removed
        assert located(registry)[ONE.sha256] in {"present", "deleting"}
        with registry.begin() as tx:
            tx.session.execute(delete(ArtifactRow))


def test_an_eviction_waits_for_a_purge_of_the_same_repository_and_finds_nothing_then(
    registry, pool, rounds
):
    def evict(record):
        with registry.begin() as tx:
            return tx.evictions.evict(record.id, STORE)

    for _ in range(rounds(5, 50)):
        record = saved(registry, listing(files=(ONE,)))
        stored(registry, ONE)
        linked = SnapshotFile(path=ONE.path, size=ONE.size, sha256=ONE.sha256, link="hardlink")
        with registry.begin() as tx:
            tx.snapshots.save(record.id, COMMIT, f"snapshots/a/b/{COMMIT}", [linked], store=STORE)
        with pytest.MonkeyPatch.context() as patch:
            begun = meanwhile(pool, patch, removals.Removals, "_repo", partial(evict, record))
            assert remove(registry, record).folders
        assert begun[0].result(WAIT) == ((), ())
        assert located(registry) == {ONE.sha256: "deleting"}


def test_a_purge_that_has_locked_the_bytes_lets_the_other_wait_not_fail(registry, record, pool, rounds):
    """The other order: the purge is first, and who stores them makes their row anew."""
    remove(registry, record)
    for _ in range(rounds(20, 200)):
        with pytest.MonkeyPatch.context() as patch:
            begun = meanwhile(
                pool, patch, removals.Removals, "_lock", lambda: ledger(registry).record([blob()])
            )
            gone(registry)
        assert begun[0].result(WAIT) is None
        assert located(registry) == {ONE.sha256: "present"}
        with registry.begin() as tx:
            tx.session.execute(ArtifactLocationRow.__table__.update().values(state="deleting"))


def test_a_folder_that_is_written_down_while_its_commit_goes_is_refused_in_plain_words(
    registry, pool, rounds
):
    def save(number):
        linked = [SnapshotFile(path=ONE.path, size=ONE.size, sha256=ONE.sha256, link="hardlink")]
        with registry.begin() as tx:
            tx.snapshots.save(number, COMMIT, "snapshots/x", linked, store=STORE)

    for _ in range(rounds(20, 200)):
        record = saved(registry, listing(files=(ONE,)))
        with pytest.MonkeyPatch.context() as patch:
            begun = meanwhile(pool, patch, removals, "artifacts_of", partial(save, record.id))
            remove(registry, record)
        error = begun[0].exception(WAIT)
        assert error is None or isinstance(error, RevisionNotFound)
        with registry.read() as tx:
            assert tx.session.scalars(select(SnapshotRow.id)).all() == []


@only_postgres
def test_no_job_begins_while_a_purge_looks_who_works(registry, record, pool):
    """Else a sync that starts after the look could store bytes before the marks, and lose them."""

    def begin():
        with registry.begin() as tx:
            job, _ = tx.jobs.create(JobKind.REPO_SYNC, "k", {"ref": "huggingface://a/b"})
            tx.jobs.start(job.id, "me", 60)
            return located(registry)

    with pytest.MonkeyPatch.context() as patch:
        begun = meanwhile(pool, patch, removals, "holders", begin)
        remove(registry, record)
    assert begun[0].result(WAIT) == {ONE.sha256: "deleting"}


def test_what_points_at_rows_that_are_gone_says_so(registry):
    with (
        pytest.raises(RegistryError, match="removed from the registry meanwhile") as caught,
        registry.begin() as tx,
    ):
        tx.session.add(SnapshotRow(store_id=1, revision_id=77, path="x"))
    assert "Ask again" in caught.value.hint
