"""The plain-file ledger."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelhub.errors import StoreFull, StoreUnavailable
from modelhub.facts import BlobRecord, BlobState, Proof
from modelhub.refs import Digest
from modelhub.store import FileLedger, ledger
from modelhub.store.layout import blob_path


def record(n, size=1, state=BlobState.PRESENT):
    digest = Digest.of(b"%d" % n)
    return BlobRecord(digest=digest, size=size, state=state, path=blob_path(digest))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some" / "ledger.jsonl"


@pytest.fixture
def books(path):
    """Two ledgers on one file, as two processes would have."""
    one, two = FileLedger(path), FileLedger(path)
    yield one, two
    one.close()
    two.close()


def test_what_one_records_the_other_finds(books):
    one, two = books
    one.record([record(1), record(2)])
    assert two.find([record(1).digest, record(3).digest]) == {record(1).digest: record(1)}
    two.record([record(1, size=9)])
    assert one.find([record(1).digest])[record(1).digest].size == 9
    assert one.find([]) == {}
    one.record([])
    assert two.find([record(2).digest])


def test_everything_survives_reopening(path, books):
    at = datetime(2031, 1, 1, tzinfo=UTC)
    proof = Proof(host="h", device=1, inode=2, size=3, mtime_ns=4, ctime_ns=5, recorded_ns=1 << 62)
    first = record(1).model_copy(update={"verified_at": at, "proof": proof})
    books[0].record([first])
    again = FileLedger(path)
    assert again.find([first.digest]) == {first.digest: first}
    again.close()


@pytest.mark.parametrize("tail", [b'[{"digest": "12', b"\xff\xfe", b"[{}]", b'["x"'])
def test_a_line_that_was_cut_off_costs_only_itself(path, books, tail, caplog):
    one, two = books
    one.record([record(1)])
    with path.open("ab") as file:
        file.write(tail)
    assert two.find([record(1).digest])
    two.record([record(2)])
    third = FileLedger(path)
    for book in (one, two, third):
        assert set(book.find([record(1).digest, record(2).digest])) == {
            record(1).digest,
            record(2).digest,
        }
    third.close()
    assert "ledger_line_skipped" in caplog.text


def test_a_half_line_that_is_still_arriving_is_read_when_it_is_whole(path, books):
    one, _ = books
    one.record([record(1)])
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    late = FileLedger(path)
    assert late.find([record(1).digest]) == {}
    with path.open("ab") as file:
        file.write(whole[40:])
    assert late.find([record(1).digest]) == {record(1).digest: record(1)}
    late.close()


def test_every_flipped_bit_is_survived(path, tmp_path):
    book = FileLedger(path)
    book.record([record(1)])
    book.record([record(2)])
    book.close()
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        spoilt = bytearray(whole)
        spoilt[at] ^= 1 << (at % 8)
        path.write_bytes(spoilt)
        book = FileLedger(path)
        found = book.find([record(1).digest, record(2).digest])
        assert len(found) >= 1 or spoilt.count(b"\n") != 2
        book.close()


def test_a_batch_is_recorded_whole_or_not_at_all(path, books):
    one, _ = books
    one.record([record(n) for n in range(5)])
    whole = path.read_bytes()
    for cut in (10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        book = FileLedger(path)
        assert book.find([record(n).digest for n in range(5)]) == {}
        book.close()


def test_a_removed_file_is_forgotten_and_made_again(path, books):
    one, two = books
    one.record([record(1)])
    assert two.find([record(1).digest])
    path.unlink()
    assert two.find([record(1).digest]) == {}
    two.record([record(2)])
    assert one.find([record(1).digest, record(2).digest]) == {record(2).digest: record(2)}


def test_an_outdated_file_is_written_anew(path, books, monkeypatch):
    monkeypatch.setattr(ledger, "_WORTH_REWRITING", 20)
    one, two = books
    two.record([record(7)])
    sizes = []
    for n in range(100):
        one.record([record(n % 3, size=n)])
        sizes.append(path.stat().st_size)
        assert two.find([record(n % 3).digest])[record(n % 3).digest].size == n
    assert max(sizes) < 2 * sizes[18]
    assert min(sizes[30:]) < sizes[18], "it shrank"
    assert set(two.find(record(n).digest for n in (0, 1, 2, 7))) == {
        record(n).digest for n in (0, 1, 2, 7)
    }
    assert not path.with_name("ledger.jsonl.new").exists()


def test_threads_lose_nothing(path, books):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: books[n % 2].record([record(n)]), range(80)))
    wanted = {record(n).digest for n in range(80)}
    assert set(books[0].find(wanted)) == wanted == set(books[1].find(wanted))


WRITER = """
import sys
from modelhub.store import FileLedger
from tests.store.test_ledger import record
from modelhub.store import ledger
ledger._WORTH_REWRITING = 10
book = FileLedger(sys.argv[1])
for n in range(40):
    book.record([record(int(sys.argv[2]) * 1000 + n % 8, size=n)])
"""


def test_processes_lose_nothing(path):
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(who)], cwd=Path(__file__).parents[2]
        )
        for who in range(3)
    ]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    book = FileLedger(path)
    wanted = {record(who * 1000 + n).digest for who in range(3) for n in range(8)}
    found = book.find(wanted)
    book.close()
    assert set(found) == wanted
    assert {one.size for one in found.values()} == set(range(32, 40))


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "ledger", tmp_path):
        with pytest.raises(StoreUnavailable, match=str(place)) as caught:
            FileLedger(place)
        assert caught.value.hint


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "ledger").symlink_to(tmp_path / "precious")
    with pytest.raises(StoreUnavailable):
        FileLedger(tmp_path / "ledger")
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_full_disk_is_said_and_loses_nothing(tmpfs):
    folder = tmpfs("small", "64k")
    book = FileLedger(folder / "ledger.jsonl")

    def fill():
        for n in range(2000):
            book.record([record(n)])

    with pytest.raises(StoreFull, match="ledger"):
        fill()
    again = FileLedger(folder / "ledger.jsonl")
    assert set(again.find([record(n).digest for n in range(20)])) == {
        record(n).digest for n in range(20)
    }
    again.close()
    book.close()


def test_what_was_hashed_longest_ago_is_stale_first(books):
    def at(day):
        return datetime(2026, 1, day, tzinfo=UTC)

    one, two = books
    dated = {n: record(n).model_copy(update={"verified_at": at(n)}) for n in (20, 10, 15)}
    gone = record(1, state=BlobState.MISSING)
    one.record([*dated.values(), record(99), gone, record(98).model_copy(update={"verified_at": None})])
    never = sorted((record(99).digest, record(98).digest))
    found = [stale.digest for stale in two.stale(at(20), 9)]
    assert found == [*never, dated[10].digest, dated[15].digest]
    assert [stale.digest for stale in two.stale(at(31), 3)] == found[:3]
