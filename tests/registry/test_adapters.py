"""The store's ledger over the registry's tables."""

from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from modelhub.errors import IntegrityError, InvalidInput, RegistryError
from modelhub.facts import BlobRecord, BlobState, Proof
from modelhub.registry import StoreLedger
from modelhub.store import Store
from modelhub.store.ports import Ledger
from modelhub.store.testing import put
from tests.registry.samples import COMMIT, FILES, digest, model, saved

URI = "file:///store"
PROOF = Proof(
    host="h" * 64,
    device=(1 << 64) - 1,
    inode=(1 << 127) + 1,
    size=3,
    mtime_ns=1_790_000_000_123_456_789,
    ctime_ns=-5,
    recorded_ns=1_790_000_000_123_456_790,
)


def blob(content, **given):
    values = {
        "digest": digest(content),
        "size": len(content),
        "state": BlobState.PRESENT,
        "path": f"blobs/sha256/{content}",
        "proof": PROOF,
        "verified_at": datetime(2026, 2, 3, tzinfo=UTC),
    }
    return BlobRecord(**(values | given))


@pytest.fixture
def ledger(registry) -> Ledger:
    return StoreLedger(registry, URI, host=PROOF.host)


def test_records_come_back_as_they_were(ledger):
    records = [
        blob("one"),
        blob("two", proof=None, verified_at=None, state=BlobState.MISSING),
        blob("three", state=BlobState.QUARANTINED, path="quarantine/é\x00"),
    ]
    ledger.record(records)
    assert ledger.find([record.digest for record in records]) == {one.digest: one for one in records}


def test_unknown_digests_are_left_out(ledger):
    ledger.record([blob("one")])
    assert ledger.find([digest("one"), digest("nothing")]) == {digest("one"): blob("one")}
    assert ledger.find([]) == {}
    ledger.record([])


def test_a_record_is_replaced_whole(ledger):
    ledger.record([blob("one"), blob("two")])
    later = blob("one", state=BlobState.QUARANTINED, path="elsewhere", proof=None, verified_at=None)
    ledger.record([later])
    assert ledger.find([digest("one"), digest("two")]) == {
        later.digest: later,
        digest("two"): blob("two"),
    }


def test_the_last_of_two_in_one_call_wins(ledger):
    ledger.record([blob("one"), blob("one", path="second")])
    assert ledger.find([digest("one")])[digest("one")].path == "second"


def test_stores_know_nothing_of_each_other(registry, ledger):
    other = StoreLedger(registry, "s3://bucket", host=PROOF.host)
    ledger.record([blob("one")])
    assert other.find([digest("one")]) == {}
    other.record([blob("one", path="remote")])
    assert ledger.find([digest("one")]) == {digest("one"): blob("one")}


def test_thousands_at_once(ledger):
    records = {record.digest: record for record in (blob(str(number)) for number in range(5000))}
    ledger.record(records.values())
    assert ledger.find(records) == records


def test_all_or_none(ledger):
    too_large = blob("zz", path="x", size=1 << 80)
    with pytest.raises(RegistryError):
        ledger.record([*(blob(str(number)) for number in range(1200)), too_large])
    assert ledger.find([digest(str(number)) for number in range(1200)]) == {}


def test_the_artifact_learns_where_it_was_seen_first(registry, ledger):
    record = saved(registry)
    path = FILES[1].path
    ledger.record([blob("one")])
    with registry.begin() as tx:
        tx.models.save(record.id, COMMIT, (model(),), (), ())
        tx.revisions.set_digests(record.id, COMMIT, {path: digest("one")})
    with registry.read() as tx:
        columns = "model_repo_id, filename, path, format, precision, part_id"
        row = tx.session.execute(text(f"SELECT {columns} FROM model_artifact")).one()
        linked = tx.session.execute(
            text(
                "SELECT count(*) FROM repo_file f JOIN model_artifact a ON f.storage_artifact_id = a.id"
            )
        ).scalar_one()
    assert tuple(row) == (record.id, path.name, path, "gguf", "q4_k_m", "1-2")
    assert linked == 1
    assert ledger.find([digest("one")]) == {digest("one"): blob("one")}


def test_an_address_that_no_index_holds_is_refused(registry):
    with pytest.raises(InvalidInput, match="store has 2,001 bytes") as caught:
        StoreLedger(registry, "s" * 2001, host="h")
    assert caught.value.details["field"] == "store"
    longest = StoreLedger(registry, "".join(chr(0x4E00 + number) for number in range(666)), host="h")
    longest.record([blob("one")])


@pytest.fixture
def hosts(registry, tmp_path):
    """A function that opens a store as a host does: one database, and the same path on all of them."""
    with ExitStack() as stack:

        def opened(host, folder, *, shared=False):
            book = StoreLedger(registry, URI, host=host, shared=shared)
            return stack.enter_context(Store.open(tmp_path / folder, book, host=host)), book

        yield opened


def spoil(store, digest):
    path = store.path(digest)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[::-1])


def test_hosts_that_share_only_the_database_have_stores_of_their_own(hosts):
    (a, a_book), (b, b_book) = hosts("a", "disk-of-a"), hosts("b", "disk-of-b")
    one = put(a, b"one").digest
    assert b.present([one]) == frozenset()
    assert b_book.find([one]) == {}

    put(b, b"one")
    proved = b_book.find([one])
    spoil(a, one)
    with pytest.raises(IntegrityError):
        a.verify([one], "full")
    assert a_book.find([one])[one].state is BlobState.QUARANTINED
    assert b_book.find([one]) == proved
    assert b.verify([one], "proof")[one].state is BlobState.PRESENT


def test_hosts_that_share_a_folder_have_proofs_of_their_own(hosts):
    (a, a_book), (b, b_book) = hosts("a", "nfs", shared=True), hosts("b", "nfs", shared=True)
    one = put(a, b"one").digest
    assert b.present([one]) == {one}
    assert b_book.find([one])[one].proof is None

    b.verify([one], "proof")
    assert b_book.find([one])[one].proof.host == "b"
    assert a_book.find([one])[one].proof.host == "a"
    spoil(b, one)
    with pytest.raises(IntegrityError):
        b.verify([one], "full")
    assert a.present([one]) == frozenset()


def test_what_was_hashed_longest_ago_is_stale_first(registry, ledger):
    def at(day):
        return datetime(2026, 1, day, tzinfo=UTC)

    ledger.record(
        [
            blob("late", verified_at=at(20)),
            blob("early", verified_at=at(10)),
            blob("middle", verified_at=at(15)),
            blob("never", proof=None, verified_at=None),
            blob("gone", state=BlobState.MISSING, verified_at=at(1)),
            blob("wrong", state=BlobState.QUARANTINED, proof=None, verified_at=None),
        ]
    )
    names = {digest(name): name for name in ("late", "early", "middle", "never", "gone", "wrong")}
    assert [names[one.digest] for one in ledger.stale(at(20), 9)] == ["never", "early", "middle"]
    assert [names[one.digest] for one in ledger.stale(at(31), 2)] == ["never", "early"]
    assert ledger.stale(at(31), 9)[-1] == blob("late", verified_at=at(20))
    other = StoreLedger(registry, URI, host="other")
    assert other.stale(at(31), 9) == ()
