"""Blobs that arrive in ranges."""

import itertools
import os
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from modelhub.errors import Cancelled, IntegrityError, InvalidInput, StoreUnavailable
from modelhub.refs import Digest
from modelhub.store import Expected
from modelhub.store.blocks import BlockTable
from modelhub.store.parts import Grain
from modelhub.store.parts.reservations import part_name
from modelhub.store.testing import pattern, promise, put

from .hands import blob, flip, names
from .ranges import fill as fill_with
from .ranges import go_on

BLOCK = 64 << 10
DATA = pattern(10 * BLOCK + 777)
DIGEST = Digest.of(DATA)
ALL = ((0, len(DATA)),)
fill = partial(fill_with, data=DATA)


@pytest.fixture
def store(store):
    """With small blocks, each made durable at once."""
    store._parts.grain = Grain(block=BLOCK, checkpoint=BLOCK)
    return store


def tmp_part(store, end=""):
    """Where the part of `DATA` lies, or what lies beside it."""
    return store.root / "tmp" / (part_name(DIGEST, store._blobs.host) + end)


def stop():
    """The check of a caller who has had enough."""
    raise Cancelled("enough", hint="Again.")


def interrupt(store, blocks, data=DATA):
    """Receive some blocks, by their number, and then no more."""
    with store.receive(promise(data)) as part:
        fill(part, [(n * BLOCK, min((n + 1) * BLOCK, len(data))) for n in blocks], data=data)


def bring(store, missing=None):
    """Receive what is missing of the blob, which is just these ranges."""
    with store.receive(promise(DATA)) as part:
        assert missing in (None, part.missing)
        fill(part)
        part.finish(go_on)
    assert blob(store, DIGEST).read_bytes() == DATA


def test_a_blob_comes_in_ranges_from_several_threads(store):
    with store.receive(promise(DATA)) as part:
        assert (part.size, part.record, part.missing) == (len(DATA), None, ALL)
        cuts = [0, 3 * BLOCK, 4 * BLOCK, 8 * BLOCK, len(DATA)]
        spans = list(itertools.pairwise(cuts))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda span: fill(part, [span]), reversed(spans)))
        assert part.missing == ()
        assert names(store.root / "blobs" / "sha256") == []
        record = part.finish(go_on)
    assert part.record == record
    assert (record.digest, record.size) == (DIGEST, len(DATA))
    assert blob(store, DIGEST).read_bytes() == DATA
    assert blob(store, DIGEST).stat().st_mode & 0o777 == 0o444
    assert names(store.root / "tmp") == []
    assert store.verify([DIGEST])[DIGEST] == record


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_every_size_comes_whole(store, size):
    data = DATA[:size]
    with store.receive(promise(data)) as part:
        fill(part, data=data)
        part.finish(go_on)
    assert blob(store, Digest.of(data)).read_bytes() == data
    assert names(store.root / "tmp") == []
    assert (store._blobs.tables.read(Digest.of(data)) is not None) == (size > BLOCK)


def test_what_is_here_needs_nothing(store):
    record = put(store, DATA)
    with store.receive(promise(DATA)) as part:
        assert (part.record, part.missing, part.size) == (record, (), len(DATA))
        part.write(0, memoryview(b"whatever"))
        assert part.finish(go_on) == record
    assert blob(store, DIGEST).read_bytes() == DATA


def test_an_interruption_keeps_whole_blocks(store):
    interrupt(store, [0, 1, 5, 10])
    assert names(store.root / "tmp") == [tmp_part(store).name, tmp_part(store, ".blocks").name]
    counts = []
    with store.receive(promise(DATA), on_bytes=counts.append) as part:
        assert part.missing == ((2 * BLOCK, 5 * BLOCK), (6 * BLOCK, 10 * BLOCK))
        assert sum(counts) == 3 * BLOCK + 777
        fill(part)
        part.finish(go_on)
    assert blob(store, DIGEST).read_bytes() == DATA
    assert names(store.root / "tmp") == []


def test_a_cancel_keeps_what_is_good(store):
    def cancel():
        with store.receive(promise(DATA)) as part:
            fill(part, [(0, 3 * BLOCK)])
            stop()

    with pytest.raises(Cancelled):
        cancel()
    with store.receive(promise(DATA)) as part:
        assert part.missing == ((3 * BLOCK, len(DATA)),)


def test_half_a_block_is_not_kept(store):
    with store.receive(promise(DATA)) as part:
        part.write(0, memoryview(DATA)[: BLOCK - 1])
    assert names(store.root / "tmp") == []


def test_other_bytes_go_to_quarantine(store):
    wrong = DATA[:-1] + b"!" if DATA[-1:] != b"!" else DATA[:-1] + b"?"
    with store.receive(promise(DATA)) as part:
        fill(part, data=wrong)
        with pytest.raises(IntegrityError, match=DIGEST) as caught:
            part.finish(go_on)
    assert caught.value.details["expected"] == DIGEST
    assert caught.value.details["actual"] == Digest.of(wrong)
    assert (store.root / caught.value.details["kept"]).read_bytes() == wrong
    assert not store.present([DIGEST, Digest.of(wrong)])
    assert names(store.root / "tmp") == []
    bring(store, ALL)


def test_too_few_bytes_are_refused_and_kept(store):
    with store.receive(promise(DATA)) as part:
        fill(part, [(0, BLOCK)])
        with pytest.raises(IntegrityError, match=str(len(DATA))):
            part.finish(go_on)
    with store.receive(promise(DATA)) as part:
        assert part.missing == ((BLOCK, len(DATA)),)


def test_too_many_bytes_are_refused(store):
    with store.receive(promise(DATA)) as part, pytest.raises(IntegrityError, match="more than"):
        part.write(10 * BLOCK, memoryview(bytes(778)))


def test_a_range_begins_at_a_block_and_comes_in_order(store):
    with store.receive(promise(DATA)) as part:
        with pytest.raises(InvalidInput, match="cannot be written"):
            part.write(1, memoryview(b"x"))
        part.write(0, memoryview(DATA)[:100])
        with pytest.raises(InvalidInput, match="goes on at 100"):
            part.write(101, memoryview(DATA)[101:200])
        # Who lost a connection begins again.
        part.write(0, memoryview(DATA)[:BLOCK])
        assert part.missing == ((BLOCK, len(DATA)),)


def test_what_is_whole_is_not_written_again(store):
    with store.receive(promise(DATA)) as part:
        fill(part, [(0, 2 * BLOCK)])
        part.write(0, memoryview(bytes(2 * BLOCK)))
        fill(part)
        part.finish(go_on)
    assert blob(store, DIGEST).read_bytes() == DATA


def test_nothing_is_written_after_the_end(store):
    with store.receive(promise(DATA)) as part:
        fill(part)
        part.finish(go_on)
        with pytest.raises(StoreUnavailable, match="not being received"):
            part.write(0, memoryview(b"x"))
    assert blob(store, DIGEST).read_bytes() == DATA


@pytest.mark.parametrize(
    ("expect", "field"),
    [(Expected(size=3, name="a.bin"), "sha256"), (Expected(sha256=DIGEST, name="a.bin"), "size")],
)
def test_what_is_not_promised_cannot_come_in_ranges(store, expect, field):
    with pytest.raises(InvalidInput, match=rf"a\.bin.*{field}"), store.receive(expect):
        pass


def test_a_bit_that_flips_in_a_part_costs_one_block(store):
    interrupt(store, range(8))
    flip(tmp_part(store), at=3 * BLOCK + 17)
    bring(store, ((3 * BLOCK, 4 * BLOCK), (8 * BLOCK, len(DATA))))


def damage(name, what):
    return pytest.param(what, id=name)


@pytest.mark.parametrize(
    "harm",
    [
        damage("shorter", lambda part, _: os.truncate(part, 5 * BLOCK)),
        damage("longer", lambda part, _: os.truncate(part, 50 * BLOCK)),
        damage("no table", lambda _, table: table.unlink()),
        damage("a short table", lambda _, table: os.truncate(table, 100)),
        damage("zeros", lambda _, table: table.write_bytes(bytes(table.stat().st_size))),
        damage("text", lambda _, table: table.write_bytes(b"x" * table.stat().st_size)),
    ],
)
def test_a_damaged_part_starts_over(store, harm):
    interrupt(store, range(8))
    harm(tmp_part(store), tmp_part(store, ".blocks"))
    bring(store, ALL)
    assert names(store.root / "tmp") == []


def test_a_bit_that_flips_in_the_table_costs_a_checkpoint_at_most(store):
    interrupt(store, range(8))
    table = tmp_part(store, ".blocks")
    whole = table.read_bytes()
    for at in range(0, len(whole), 7):
        table.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with store.receive(promise(DATA)) as part:
            fill(part, part.missing[:1])
        whole = table.read_bytes()
    bring(store)


def test_the_table_of_another_file_is_none(store):
    other = DATA[::-1]
    interrupt(store, range(8), data=other)
    interrupt(store, range(8))
    others = tmp_part(store, ".blocks").name.replace(DIGEST, Digest.of(other))
    (store.root / "tmp" / others).replace(tmp_part(store, ".blocks"))
    with store.receive(promise(DATA)) as part:
        assert part.missing == ALL


@pytest.mark.parametrize("what", ["", ".blocks"])
def test_a_link_that_was_planted_is_not_followed(store, tmp_path, what):
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    tmp_part(store, what).symlink_to(victim)
    bring(store)
    assert victim.read_bytes() == b"mine"
    assert blob(store, DIGEST).read_bytes() == DATA
    assert not blob(store, DIGEST).is_symlink()


def test_a_part_that_is_a_blob_already_is_left_alone(store):
    put(store, DATA)
    part = tmp_part(store)
    part.hardlink_to(blob(store, DIGEST))  # its writer died before it removed this name
    before = blob(store, DIGEST).stat().st_mode
    blob(store, DIGEST).unlink()
    (store.root / "kept").hardlink_to(part)
    with store.receive(promise(DATA)) as fresh:
        assert fresh.missing == ALL
        fill(fresh, [(0, BLOCK)], data=bytes(len(DATA)))
    assert (store.root / "kept").read_bytes() == DATA
    assert (store.root / "kept").stat().st_mode == before


def test_a_second_thread_waits_for_the_first(store):
    asked = threading.Event()

    def receive():
        with store.receive(promise(DATA), check=asked.set) as part:
            return part.record

    with ThreadPoolExecutor(1) as pool:
        with store.receive(promise(DATA)) as part:
            second = pool.submit(receive)
            assert asked.wait(30)
            fill(part)
            record = part.finish(go_on)
        assert second.result(30) == record


def test_who_waits_can_stop(store):
    with (
        store.receive(promise(DATA)),
        pytest.raises(Cancelled),
        store.receive(promise(DATA), check=stop),
    ):
        pass


def test_a_blob_has_a_table_of_its_blocks(store):
    bring(store)
    place = store.root / "blocks" / "sha256" / DIGEST[:2] / DIGEST
    table = BlockTable.decode(place.read_bytes())
    assert table == store._blobs.tables.read(DIGEST)
    assert len(table.checksums) == 11
    flip(place)
    assert store._blobs.tables.read(DIGEST) is None
    assert store.remove(DIGEST, lambda: True)
    assert not place.exists()


def set_aside(store, *spots):
    """Damage the blob at some places, and find it out."""
    for at in spots:
        flip(blob(store, DIGEST), at=at)
    with pytest.raises(IntegrityError):
        store.verify([DIGEST], "full")


def test_only_the_damaged_blocks_of_a_blob_come_again(store):
    bring(store)
    set_aside(store, 2 * BLOCK, 3 * BLOCK - 1, 10 * BLOCK + 5)
    bring(store, ((2 * BLOCK, 3 * BLOCK), (10 * BLOCK, len(DATA))))
    # Again, from two files that each have what the other lacks.
    set_aside(store, 4 * BLOCK)
    bring(store, ())


def test_a_table_that_misleads_is_forgotten(store):
    bring(store)
    set_aside(store, 2 * BLOCK)
    (wrong,) = (store.root / "quarantine").iterdir()
    table = store._blobs.tables.read(DIGEST)
    found = zlib.crc32(wrong.read_bytes()[2 * BLOCK : 3 * BLOCK])
    store._blobs.tables.write(
        replace(table, checksums=(*table.checksums[:2], found, *table.checksums[3:]))
    )
    with store.receive(promise(DATA)) as part:
        assert part.missing == ()
        with pytest.raises(IntegrityError):
            part.finish(go_on)
    bring(store, ALL)


def test_without_a_table_all_comes_again(store):
    bring(store)
    set_aside(store, 2 * BLOCK)
    flip(store.root / "blocks" / "sha256" / DIGEST[:2] / DIGEST)
    with store.receive(promise(DATA)) as part:
        assert part.missing == ALL


def test_a_cancel_while_a_part_is_read_again_keeps_it(store):
    interrupt(store, range(8))
    with pytest.raises(Cancelled), store.receive(promise(DATA), check=stop):
        pass
    with store.receive(promise(DATA)) as part:
        assert part.missing == ((8 * BLOCK, len(DATA)),)


def test_parts_are_listed(store):
    assert store.parts() == ()
    interrupt(store, [0, 2])
    (one,) = store.parts()
    assert (one.digest, one.size, one.present, one.live) == (DIGEST, len(DATA), 2 * BLOCK, False)
    with store.receive(promise(DATA)):
        assert store.parts()[0].live
    (store.root / "tmp" / "notes.part").write_text("not ours")
    (store.root / "tmp" / f"{DIGEST[::-1]}.part").mkdir()
    assert [found.digest for found in store.parts()] == [DIGEST]


def test_parts_are_kept_for_a_week(store, tmp_path):
    interrupt(store, [0, 2])
    tmp = store.root / "tmp"
    assert store.sweep(older_than=-60) == 0
    with store.receive(promise(DATA)):
        assert store.sweep(older_than=-60, parts_older_than=-60) == 0
    (tmp / f"{DIGEST[::-1]}.part.blocks").write_text("its part is gone")
    assert store.sweep(older_than=-60) == 1
    assert names(tmp) == [tmp_part(store).name, tmp_part(store, ".blocks").name]
    week = 7 * 86_400
    old = tmp_part(store).stat().st_mtime - week - 60
    os.utime(tmp_part(store), (old, old))
    assert store.sweep() == 1
    assert names(tmp) == []


def test_what_is_left_of_a_blob_goes_with_it(store):
    bring(store)
    tmp_part(store).hardlink_to(blob(store, DIGEST))  # its writer died before it removed this name
    assert store.parts() == ()
    assert store.sweep(older_than=-60) == 1
    tmp_part(store).hardlink_to(blob(store, DIGEST))
    assert store.remove(DIGEST, lambda: True)
    assert names(store.root / "tmp") == []
    interrupt(store, [0])
    assert store.remove(DIGEST, lambda: True)
    assert store.parts() == ()
