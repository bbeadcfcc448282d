"""Many small files that become blobs together."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelhub.errors import IntegrityError
from modelhub.refs import Digest
from modelhub.store.testing import Dribble, pattern, promise, put

from .hands import blob, flip, names, sha256

FILES = [pattern(100 + 37 * number, number) for number in range(150)]
DIGESTS = {Digest.of(data) for data in FILES}


def hand_in(batch, data):
    return batch.put(io.BytesIO(data), expect=promise(data))


def test_many_files_become_blobs(store, spy, ledger):
    written = []
    record = ledger.record

    def counted(records):
        written.append(len(records := list(records)))
        record(records)

    ledger.record = counted
    with store.batch() as batch, ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda data: hand_in(batch, data), FILES)) == DIGESTS
    assert set(batch.records) == DIGESTS
    assert sum(written) == len(FILES)
    assert len(written) <= 4
    for digest in DIGESTS:
        assert sha256(blob(store, digest)) == digest
        assert blob(store, digest).stat().st_mode & 0o777 == 0o444
    assert names(store.root / "tmp") == []
    spy.counts.clear()
    assert store.verify(DIGESTS) == batch.records
    assert not spy.counts["pread"]


def test_the_same_file_twice_is_one_blob(store):
    with store.batch() as batch:
        for data in FILES[:3] * 2:
            hand_in(batch, data)
    assert set(batch.records) == {Digest.of(data) for data in FILES[:3]}
    assert names(store.root / "tmp") == []


def test_what_is_here_is_vouched_for(store):
    known = put(store, FILES[0])
    put(store, FILES[1])
    flip(blob(store, Digest.of(FILES[1])))
    with store.batch() as batch:
        for data in FILES[:3]:
            hand_in(batch, data)
    assert batch.records[known.digest] == known
    for data in FILES[:3]:
        assert blob(store, Digest.of(data)).read_bytes() == data
    assert len(names(store.root / "quarantine")) == 1


def test_a_wrong_file_does_not_harm_the_others(store):
    with store.batch() as batch:
        hand_in(batch, FILES[0])
        with pytest.raises(IntegrityError):
            batch.put(io.BytesIO(FILES[1]), expect=promise(FILES[2]))
        hand_in(batch, FILES[3])
    assert set(batch.records) == {Digest.of(FILES[0]), Digest.of(FILES[3])}
    assert names(store.root / "tmp") == []


def test_an_error_keeps_what_is_whole(store):
    def fail():
        with store.batch() as batch:
            hand_in(batch, FILES[0])
            raise KeyError(1)

    with pytest.raises(KeyError):
        fail()
    assert store.present(DIGESTS) == {Digest.of(FILES[0])}
    assert names(store.root / "tmp") == []


def test_two_batches_with_the_same_files_wait_for_nobody_for_ever(store):
    together = threading.Barrier(2)

    def run():
        with store.batch() as batch:
            together.wait(30)
            for data in FILES:
                batch.put(Dribble(data, 50), expect=promise(data))
        return batch.records

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(run), pool.submit(run)
        assert set(first.result(60)) == set(second.result(60)) == DIGESTS
    assert names(store.root / "tmp") == []
