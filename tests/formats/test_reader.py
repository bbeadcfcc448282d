import random
from pathlib import Path

import pytest

from modelhub.errors import FormatError
from modelhub.formats import RangeReader
from modelhub.formats.reader import FIRST_BYTES, MOST_BYTES

from .costs import Remote


def test_it_asks_for_little_first_and_doubles():
    remote = Remote(b"", 1 << 30)
    reader = remote.reader()
    while len(remote.ranges) < 8:
        reader.take(1000)
    lengths = [end - start for start, end in remote.ranges]
    assert lengths == [min(FIRST_BYTES << n, MOST_BYTES) for n in range(8)]
    assert [end for _, end in remote.ranges[:-1]] == [start for start, _ in remote.ranges[1:]]
    assert reader.bytes_read == sum(lengths)


def test_it_never_asks_beyond_the_file():
    remote = Remote(b"", 100_000)
    reader = remote.reader()
    reader.take(100_000)
    assert remote.ranges == [(0, 100_000)]
    assert reader.remaining == 0
    assert reader.peek(10) == b""
    assert reader.take(0) == b""


def test_a_long_value_is_asked_for_as_a_whole():
    remote = Remote(b"", 1 << 30)
    reader = remote.reader()
    reader.take(8)
    assert len(reader.take(10_000_000)) == 10_000_000
    assert len(remote.ranges) == 2


def test_what_is_skipped_is_not_asked_for():
    remote = Remote(b"", 1 << 40)
    reader = remote.reader()
    reader.take(1)
    reader.skip(1 << 39)
    assert reader.position == (1 << 39) + 1
    assert reader.take(0) == b""
    reader.take(1)
    assert remote.ranges[1][0] == (1 << 39) + 1
    assert reader.bytes_read == 3 * FIRST_BYTES


def test_behind_a_jump_it_asks_for_little_again():
    remote = Remote(b"", 1 << 40)
    reader = remote.reader()
    for _ in range(100):
        reader.take(1000)
    asked = len(remote.ranges)
    assert not reader.jump(10)
    assert reader.jump(1 << 30)
    reader.take(1)
    assert len(remote.ranges) == asked + 1
    assert remote.ranges[-1][1] - remote.ranges[-1][0] == FIRST_BYTES


def test_nothing_behind_a_known_end_is_asked_for():
    remote = Remote(b"", 1 << 30)
    reader = remote.reader(first=16)
    reader.take(8)
    reader.stop_at(100)
    assert reader.take(92) == bytes(92)
    assert remote.ranges[-1][1] == 100
    with pytest.raises(FormatError, match="ends too soon"):
        reader.take(1)


def test_what_came_from_behind_a_known_end_is_not_given():
    reader = RangeReader.from_bytes(b"header, data")
    assert reader.peek(12) == b"header, data"
    reader.stop_at(6)
    assert reader.peek(12) == b"header"
    with pytest.raises(FormatError, match="6 are left"):
        reader.take(7)


def test_the_limit_holds():
    remote = Remote(b"", 1 << 40)
    reader = remote.reader(limit=1_000_000)
    with pytest.raises(FormatError, match="more than the 1,000,000 bytes"):
        reader.take(1_000_001)
    assert remote.ranges == []
    for _ in range(1000):
        reader.take(1000)
    assert reader.bytes_read == 1_000_000
    with pytest.raises(FormatError, match="1,000,000"):
        reader.take(1)
    assert reader.bytes_read == 1_000_000


@pytest.mark.parametrize("answer", [b"", b"x" * 9, b"x" * 11])
def test_a_source_that_gives_other_bytes_than_asked_for_is_refused(answer):
    reader = RangeReader(lambda _start, _end: answer, 10, name="w.gguf")
    with pytest.raises(FormatError, match=r"w\.gguf: bytes 0 to 10 were asked for, and \d+ bytes came"):
        reader.take(10)


def test_any_walk_reads_the_right_bytes(tmp_path: Path):
    data = random.Random(7).randbytes(300_000)
    (tmp_path / "file").write_bytes(data)
    for seed in range(20):
        choose = random.Random(seed)
        for reader in (
            RangeReader.from_bytes(data, first=choose.randrange(1, 5000)),
            RangeReader.from_path(tmp_path / "file", first=choose.randrange(1, 5000)),
        ):
            at = 0
            while at < len(data):
                count = min(choose.randrange(20_000), len(data) - at)
                what = choose.choice(("take", "skip", "peek", "window"))
                if what == "take":
                    assert reader.take(count) == data[at : at + count]
                elif what == "skip":
                    reader.skip(count)
                elif what == "peek":
                    assert reader.peek(count) == data[at : at + count]
                    continue
                else:
                    buffer, start = reader.window(count)
                    assert buffer[start : start + count] == data[at : at + count]
                    continue
                at += count
                assert reader.position == at
                assert reader.remaining == len(data) - at


def test_a_local_file_gives_its_name_to_errors(tmp_path: Path):
    (tmp_path / "weights.gguf").write_bytes(b"abc")
    reader = RangeReader.from_path(tmp_path / "weights.gguf")
    with pytest.raises(FormatError, match=r"^weights\.gguf: it ends too soon") as caught:
        reader.take(4)
    assert caught.value.details == {"file": "weights.gguf", "position": 0}


def test_skipping_beyond_the_end_is_refused():
    reader = RangeReader.from_bytes(b"abc")
    with pytest.raises(FormatError, match="3 are left"):
        reader.skip(4)
    assert reader.take(3) == b"abc"
