"""Proofs: the rule by itself, and that it spares reading."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import IntegrityError
from modelhub.refs import Digest
from modelhub.store import FileLedger, Store, proof
from modelhub.store.fsops import FsOps
from modelhub.store.testing import pattern, put

from .hands import unlock

SECOND = 1_000_000_000
TODAY = 1_800_000_000 * SECOND


def look(*, device=1, inode=2, size=3, mtime=TODAY - 3 * SECOND, ctime=TODAY):
    class Look:
        st_dev, st_ino, st_size, st_mtime_ns, st_ctime_ns = device, inode, size, mtime, ctime

    return Look


def test_a_proof_holds_while_nothing_moves():
    assert proof.holds(proof.take(look(), "h", TODAY), look(), "h")
    assert not proof.holds(None, look(), "h")


@pytest.mark.parametrize(
    "change",
    [
        {"device": 9},
        {"inode": 9},
        {"size": 9},
        {"mtime": TODAY - 3 * SECOND + 1},
        {"ctime": TODAY + 1},
        {"ctime": TODAY - 1},
    ],
)
def test_any_difference_is_no_proof(change):
    assert not proof.holds(proof.take(look(), "h", TODAY), look(**change), "h")


def test_another_host_s_proof_is_no_proof():
    assert not proof.holds(proof.take(look(), "h", TODAY), look(), "other")


def test_a_file_within_the_clock_s_grain_is_not_trusted():
    fresh = look(mtime=TODAY, ctime=TODAY)
    assert not proof.holds(proof.take(fresh, "h", TODAY), fresh, "h")
    assert not proof.holds(proof.take(fresh, "h", TODAY + 2 * SECOND), fresh, "h")
    assert proof.holds(proof.take(fresh, "h", TODAY + 2 * SECOND + 1), fresh, "h")


@given(
    mtime=st.integers(0, 1 << 62),
    ctime=st.integers(0, 1 << 62),
    later=st.integers(0, 1 << 40),
    grain=st.sampled_from([1, 4_000_000, SECOND, 2 * SECOND]),
)
def test_a_back_dated_file_shows_every_write_on_every_clock(mtime, ctime, later, grain):
    """Whatever the file's times were: after back-dating, no write can leave the same times."""
    then = look(mtime=mtime, ctime=ctime)
    wanted = proof.back_dated(then)
    now = ctime + later  # the file system's clock when the time is set, and so the new change time
    if wanted is not None:
        then = look(mtime=wanted, ctime=now - now % grain)
    taken = proof.take(then, "h", 0)  # no help from the host's clock
    if proof.settled(taken):
        written = max(now, then.st_ctime_ns)
        assert written - written % grain != then.st_mtime_ns
    else:
        assert wanted is not None
        assert grain >= SECOND, "only a coarse clock may need another look"


def test_a_renewed_proof_follows_a_link_but_not_a_write():
    old = proof.take(look(), "h", TODAY)
    linked = look(ctime=TODAY + 5)
    assert proof.holds(proof.renewed(old, linked, TODAY + 6), linked, "h")
    for written in (
        look(ctime=TODAY + 5, mtime=TODAY + 5),
        look(ctime=TODAY + 5, size=4),
        look(ctime=TODAY + 5, inode=9),
    ):
        assert proof.renewed(old, written, TODAY + 6) == old
        assert not proof.holds(proof.renewed(old, written, TODAY + 6), written, "h")


def test_the_host_is_the_same_every_time_and_not_its_secret():
    assert proof.host_id() == proof.host_id()
    assert len(proof.host_id()) == 16
    if (secret := Path("/etc/machine-id")).exists():
        assert proof.host_id() not in secret.read_text()


# on a real store


def reads(spy):
    return spy.counts["pread"]


def quietly(spy, store, digests):
    """How many reads of blobs a verify makes."""

    before = reads(spy)
    store.verify(digests)
    return reads(spy) - before


def test_the_second_use_reads_nothing_from_the_first_moment_on(store, spy):
    digests = [put(store, pattern(200_000, n)).digest for n in range(3)]
    before = spy.counts.copy()
    store.verify(digests)
    used = spy.counts - before
    assert used == {"lstat": 3}


def test_a_touch_costs_one_hash_and_renews_the_proof(store, spy, ledger):
    digest = put(store, pattern(200_000)).digest
    old = ledger.find([digest])[digest].proof
    os.utime(store.path(digest))
    assert quietly(spy, store, [digest]) > 0
    assert ledger.find([digest])[digest].proof != old
    assert quietly(spy, store, [digest]) == 0


def test_forged_times_do_not_hide_a_write(store):
    digest = put(store, b"x" * 1000).digest
    unlock(store.path(digest))
    before = os.lstat(store.path(digest))
    with store.path(digest).open("r+b") as file:
        file.write(b"y")
    os.utime(store.path(digest), ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(IntegrityError):
        store.verify([digest])


def test_another_host_hashes_once_and_is_right(store, spy, tmp_path):
    digest = put(store, pattern(200_000)).digest
    ledger = FileLedger(tmp_path / "ledger.jsonl")
    with Store.open(store.root, ledger, ops=spy, host="elsewhere") as other:
        assert quietly(spy, other, [digest]) > 0
        assert quietly(spy, other, [digest]) == 0
    ledger.close()


def test_a_moved_store_is_not_even_hashed(store, spy, ledger, tmp_path):
    digest = put(store, pattern(200_000)).digest
    store.root.rename(tmp_path / "moved")
    assert store.present([digest]) == {digest}, "what is open moves along"
    with Store.open(tmp_path / "moved", ledger, ops=spy) as moved:
        assert quietly(spy, moved, [digest]) == 0
        assert moved.path(digest).is_relative_to(tmp_path / "moved")


@pytest.mark.parametrize("copy", [shutil.copy, shutil.copy2])
def test_a_restored_store_is_hashed_and_right(store, spy, ledger, tmp_path, copy):
    digest = put(store, pattern(200_000)).digest
    shutil.copytree(store.root, tmp_path / "restored", copy_function=copy)
    with Store.open(tmp_path / "restored", ledger, ops=spy) as restored:
        assert restored.present([digest]) == {digest}
        assert quietly(spy, restored, [digest]) > 0
        assert quietly(spy, restored, [digest]) == 0
        assert restored.link("v", "n", "c" * 40, {}).files == ()


def test_a_lost_ledger_costs_one_hash(store, spy, tmp_path):
    digest = put(store, pattern(200_000)).digest
    with Store.open(store.root, FileLedger(tmp_path / "new.jsonl"), ops=spy) as again:
        assert quietly(spy, again, [digest]) > 0
        assert quietly(spy, again, [digest]) == 0
        assert again.present([digest]) == {digest}


class NotOwner(FsOps):
    """A file system where times may not be set, and reads are counted."""

    reads = 0

    def futime(self, fd, atime_ns, mtime_ns):
        raise PermissionError(1, "Operation not permitted")

    def pread(self, fd, buffer, offset):
        self.reads += 1
        return super().pread(fd, buffer, offset)


def test_where_times_cannot_be_set_trust_comes_with_time(tmp_path, ledger):
    ops, ahead = NotOwner(), [0]

    def clock():
        return (tmp_path / "store" / "tmp").stat().st_mtime_ns + ahead[0]

    def cost():
        before = ops.reads
        store.verify([digest])
        return ops.reads - before

    (tmp_path / "store" / "tmp").mkdir(parents=True)
    with Store.open(tmp_path / "store", ledger, ops=ops, clock=clock) as store:
        digest = put(store, pattern(200_000)).digest
        assert cost() > 0, "fresh"
        ahead[0] = SECOND
        assert cost() > 0, "still within the grain"
        ahead[0] = 60 * SECOND
        assert cost() > 0, "hashed once more, and now settled"
        assert cost() == 0
        os.utime(store.path(digest))
        assert cost() > 0


def test_the_time_of_verification_is_recorded(tmp_path, ledger):
    at = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
    with Store.open(tmp_path / "s", ledger, clock=lambda: int(at.timestamp()) * SECOND) as store:
        record = put(store, b"data")
        assert record.verified_at == at
        assert record.proof.recorded_ns == int(at.timestamp()) * SECOND
        assert record.path == f"blobs/sha256/{record.digest[:2]}/{Digest(record.digest)}"


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_a_clock_that_jumps_is_no_proof_of_anything_wrong(tmp_path, ledger, jump):
    now = [TODAY]
    with Store.open(tmp_path / "s", ledger, clock=lambda: now[0]) as store:
        digest = put(store, pattern(200_000)).digest
        now[0] += jump * SECOND
        assert store.verify([digest])
        os.utime(store.path(digest), ns=(now[0], now[0]))
        assert store.verify([digest])
        assert store.verify([digest], "full")
