"""Leases on bytes: who holds what, until when, and that no purge overlooks one that is taken meanwhile."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from modelhub.errors import InUse
from modelhub.facts import InstanceStatus, RepoId
from modelhub.jobs import Holds
from modelhub.refs import Digest
from modelhub.registry import InstanceBook
from modelhub.registry.tables import (
    ArtifactLocationRow,
    ArtifactRow,
    InstanceRow,
    LeaseArtifactRow,
    LeaseRow,
)
from modelhub.runtimes.processes import process_mark
from tests.registry.samples import COMMIT, digest, file, listing, model, saved
from tests.registry.test_removals import STORE, instance, remove, stored

ONE, TWO = file("one.gguf", sha256=digest("one")), file("two.gguf", sha256=digest("two"))
ABSENT = digest("absent")


@pytest.fixture
def record(registry):
    record = saved(registry, listing(files=(ONE, TWO)))
    stored(registry, ONE, TWO)
    return record


def take(registry, digests, **given):
    given = {"store": STORE, "owner": "h:1:a", "host": "h", "purpose": "reading", "seconds": 60} | given
    with registry.begin() as tx:
        return tx.leases.take(None, digests=digests, **given)


def held(registry):
    with registry.read() as tx:
        rows = select(ArtifactRow.hash_sha256).join(LeaseArtifactRow).join(LeaseRow)
        return set(tx.session.scalars(rows))


def accessed(registry):
    with registry.read() as tx:
        rows = select(ArtifactRow.hash_sha256, ArtifactLocationRow.last_accessed_at)
        return dict(map(tuple, tx.session.execute(rows.join(ArtifactLocationRow))))


def age(registry, hours):
    """As if everything had been used last so many hours ago."""
    with registry.begin() as tx:
        for row in tx.session.scalars(select(ArtifactLocationRow)):
            row.last_accessed_at -= timedelta(hours=hours)
        tx.session.flush()


def test_a_lease_holds_what_is_there_and_makes_it_used(registry, record):
    age(registry, 5)
    before = accessed(registry)
    number = take(registry, [ONE.sha256, ABSENT])
    assert held(registry) == {ONE.sha256}
    after = accessed(registry)
    assert after[ONE.sha256] - before[ONE.sha256] > timedelta(hours=4)
    assert after[TWO.sha256] == before[TWO.sha256]
    with registry.begin() as tx:
        assert tx.leases.add(number, [ONE.sha256, TWO.sha256, ABSENT]) == {ONE.sha256, TWO.sha256}
    assert held(registry) == {ONE.sha256, TWO.sha256}
    with registry.begin() as tx:
        tx.leases.release(number)
    assert held(registry) == set()


def test_what_is_being_deleted_is_not_held(registry, record):
    with registry.begin() as tx:
        tx.session.execute(update(ArtifactLocationRow).values(state="deleting"))
    take(registry, [ONE.sha256])
    assert held(registry) == set()


def test_what_was_held_for_long_was_used_until_it_was_let_go(registry, record):
    number = take(registry, [ONE.sha256])
    age(registry, 5)
    before = accessed(registry)
    with registry.begin() as tx:
        tx.leases.release(number)
    assert accessed(registry)[ONE.sha256] - before[ONE.sha256] > timedelta(hours=4)
    assert accessed(registry)[TWO.sha256] == before[TWO.sha256]


def test_a_loaded_model_holds_its_files_for_its_life(registry, record):
    book = InstanceBook(registry, lambda _: False, STORE)
    loaded = instance("a/b", COMMIT).model_copy(update={"artifacts": (ONE.sha256,)})
    number = book.add(loaded, -1)
    assert held(registry) == {ONE.sha256}
    book.beat({number: InstanceStatus.IDLE}, 60)
    with pytest.raises(InUse, match=f"h:7:instance-{number} holds some of its bytes for loaded model"):
        remove(registry, record)
    book.remove(number)
    assert held(registry) == set()


def test_a_loaded_model_whose_process_is_gone_holds_nothing(registry, record):
    gone = []
    book = InstanceBook(registry, lambda mark: mark in gone, STORE)
    loaded = instance("a/b", COMMIT).model_copy(update={"artifacts": (ONE.sha256,)})
    book.add(loaded, 60)
    book.reap()
    assert held(registry) == {ONE.sha256}
    gone.append(loaded.process)
    book.reap()
    assert held(registry) == set()


def test_a_loaded_model_is_one_of_its_own_source(registry):
    """Two sources may have repositories of one name, at one commit."""
    mine = saved(registry, listing("c" * 40, repo=RepoId(source="huggingface", vendor="a", name="b")))
    other = saved(registry, listing("c" * 40, repo=RepoId(source="modelscope", vendor="a", name="b")))
    with registry.begin() as tx:
        tx.models.save(mine.id, "c" * 40, [model()], (), ())
        tx.models.save(other.id, "c" * 40, [model()], (), ())
    book = InstanceBook(registry, lambda _: False)
    loaded = instance("a/b", "c" * 40).model_copy(update={"source": "modelscope"})
    book.add(loaded, 60)
    with registry.read() as tx:
        row = tx.session.scalars(select(InstanceRow)).one()
    assert row.logical_model_id is not None
    assert remove(registry, mine)
    with pytest.raises(InUse, match="echo has"):
        remove(registry, other)


@pytest.mark.parametrize(
    ("owner", "boot_id", "stays"),
    [
        ("{host}:4194304:x", None, False),  # no process has a number as high
        ("{host}:{pid}:x", "another boot", False),
        ("{host}:{pid}:x", "{boot}", True),
        ("elsewhere:4194304:x", "another boot", True),  # only its expiry tells
    ],
)
def test_dead_owners_of_this_host_hold_nothing_others_until_they_expire(
    registry, record, owner, boot_id, stays
):
    me = process_mark()
    words = {"host": me.host, "pid": me.pid, "boot": me.boot_id}
    owner, boot = owner.format(**words), boot_id and boot_id.format(**words)
    take(registry, [ONE.sha256], owner=owner, host=owner.partition(":")[0], boot_id=boot)
    Holds(registry, STORE).reap()
    assert held(registry) == ({ONE.sha256} if stays else set())


def test_an_expired_lease_holds_nothing(registry, record):
    take(registry, [ONE.sha256], seconds=-1)
    assert remove(registry, record).removed


def test_who_only_stood_still_has_its_lease_back_for_an_hour(registry, record):
    still = take(registry, [ONE.sha256], owner="elsewhere:1:a", seconds=-60)
    take(registry, [TWO.sha256], owner="elsewhere:1:b", seconds=-3700)
    Holds(registry, STORE).reap()
    with registry.begin() as tx:
        assert tx.leases.held(STORE) == frozenset()
        tx.leases.renew(still, 60)
        assert tx.leases.held(STORE) == {ONE.sha256}
    assert held(registry) == {ONE.sha256}


def test_a_hold_can_grow(registry, record):
    with Holds(registry, STORE).hold(record, "pulling", [ONE.sha256]) as hold:
        assert held(registry) == {ONE.sha256}
        assert hold.add([]) == frozenset()
        assert hold.add([TWO.sha256, Digest(ABSENT)]) == {TWO.sha256}
        assert held(registry) == {ONE.sha256, TWO.sha256}
    assert held(registry) == set()
