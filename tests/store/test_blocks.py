"""How files are cut into blocks, and what tables of them tell."""

import itertools
import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import InvalidInput
from modelhub.refs import Digest
from modelhub.store.blocks import Blocks, BlockTable, Summing, damaged, length, matching
from modelhub.store.fsops import FsOps
from modelhub.store.parts.progress import Progress
from modelhub.store.testing import pattern

cuts = st.builds(Blocks, st.integers(0, 300), st.integers(1, 64))


@given(cuts, st.data())
def test_spans_cover_what_they_are_made_of(blocks, data):
    chosen = data.draw(st.sets(st.integers(0, max(0, len(blocks) - 1)))) if len(blocks) else set()
    spans = blocks.spans(sorted(chosen))
    covered = [at for start, end in spans for at in range(start, end)]
    assert covered == [at for at in range(blocks.size) if at // blocks.block in chosen]
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end < start
    assert all(start % blocks.block == 0 for start, _ in spans)


@given(cuts, st.binary(max_size=300), st.data())
def test_a_table_comes_back_as_it_was(blocks, seed, data):
    sums = st.none() | st.integers(0, 2**32 - 1)
    checksums = data.draw(st.tuples(*[sums] * len(blocks)))
    table = BlockTable(Digest.of(seed), blocks, checksums, data.draw(st.integers(0, 2**63)))
    encoded = table.encode()
    assert len(encoded) == length(blocks)
    assert BlockTable.decode(encoded) == table
    at, bit = data.draw(st.integers(0, len(encoded) - 1)), data.draw(st.integers(0, 7))
    assert BlockTable.decode(encoded[:at] + bytes([encoded[at] ^ 1 << bit]) + encoded[at + 1 :]) is None
    assert BlockTable.decode(encoded[:at]) is None


@given(st.binary(max_size=500), st.integers(1, 100), st.lists(st.integers(1, 60)))
def test_checksums_do_not_depend_on_how_bytes_arrive(data, block, steps):
    sums, at = Summing(block), 0
    for step in [*steps, len(data)]:
        sums.update(memoryview(data)[at : at + step])
        at += step
    assert list(sums.checksums) == [zlib.crc32(data[n : n + block]) for n in range(0, len(data), block)]


@given(st.data())
def test_only_damaged_blocks_are_found(data):
    blocks = data.draw(st.builds(Blocks, st.integers(1, 300), st.integers(1, 64)))
    whole = pattern(blocks.size)
    sums = tuple(zlib.crc32(whole[start:end]) for start, end in map(blocks.span, range(len(blocks))))
    table = BlockTable(Digest.of(whole), blocks, sums)
    spots = data.draw(st.sets(st.integers(0, blocks.size - 1), max_size=5))
    cut = data.draw(st.integers(0, blocks.size))
    bad = {at // blocks.block for at in spots} | {at // blocks.block for at in range(cut, blocks.size)}
    harmed = bytes(byte ^ (at in spots) for at, byte in enumerate(whole))[:cut]
    ops, fd = FsOps(), os.memfd_create("harmed")
    try:
        os.pwrite(fd, harmed, 0)
        assert set(matching(ops, fd, table)) == set(range(len(blocks))) - bad
        assert damaged(ops, fd, table) == blocks.spans(sorted(bad))
    finally:
        os.close(fd)


@given(st.data())
def test_a_part_knows_what_it_has(data):
    """Writers begin, go on, begin again and fail: what is here is what was written to its end."""
    blocks = data.draw(st.builds(Blocks, st.integers(1, 200), st.integers(1, 32)))
    whole = memoryview(pattern(blocks.size))
    progress = Progress(blocks, [None] * len(blocks))
    reached: dict[int, int] = {}
    for _ in range(data.draw(st.integers(0, 40))):
        index = data.draw(st.integers(0, len(blocks) - 1))
        start, end = blocks.span(index)
        at = start if data.draw(st.booleans()) else reached.get(index, start)
        at = start if at == end else at
        piece = progress.begin(at, data.draw(st.integers(1, blocks.size)))
        assert piece.known == (reached.get(index) == end)
        if piece.known:
            continue
        with pytest.raises(InvalidInput):
            progress.begin(at, 1)
        if data.draw(st.integers(0, 4)) == 0:
            progress.drop(piece)
            reached.pop(index, None)
        else:
            progress.end(piece, piece.after(whole[at : at + piece.length]))
            reached[index] = at + piece.length
    here = [index for index in range(len(blocks)) if reached.get(index) == blocks.span(index).end]
    assert progress.missing == blocks.spans(index for index in range(len(blocks)) if index not in here)
    assert progress.present == sum(end - start for start, end in map(blocks.span, here))
    assert progress.whole == (progress.missing[0].start if progress.missing else blocks.size)
    for index in here:
        start, end = blocks.span(index)
        assert progress.checksums[index] == zlib.crc32(whole[start:end])
