"""Which ranges are asked for, over how many connections: pure decisions."""

from hypothesis import given
from hypothesis import strategies as st

from modelhub.jobs.download.ranges import LONGEST, Pace, Range, Work

BLOCK = 8
SHORTEST = 4 * BLOCK


@st.composite
def missing(draw):
    """Spans of missing blocks of a file, ascending, apart, the last one maybe not whole."""
    blocks = draw(st.lists(st.booleans(), min_size=1, max_size=60))
    size = len(blocks) * BLOCK - draw(st.integers(0, BLOCK - 1))
    spans = []
    for index, gone in enumerate(blocks):
        start, end = index * BLOCK, min(size, (index + 1) * BLOCK)
        if gone and spans and spans[-1][1] == start:
            spans[-1] = (spans[-1][0], end)
        elif gone:
            spans.append((start, end))
    return spans


def taken(work, connections=1):
    while span := work.take(connections):
        yield span


@given(missing(), st.integers(1, 8))
def test_every_missing_byte_is_asked_for_once_and_in_order(spans, connections):
    ranges = list(taken(Work(spans, shortest=SHORTEST), connections))
    asked = [at for start, end in ranges for at in range(start, end)]
    assert asked == [at for start, end in spans for at in range(start, end)]
    assert all(start % BLOCK == 0 for start, _ in ranges)


@given(missing(), st.integers(1, 8))
def test_what_is_put_back_comes_again(spans, connections):
    work = Work(spans, shortest=SHORTEST)
    before = work.left
    if span := work.take(connections):
        work.put_back(span)
        assert work.take(connections) == span
        work.put_back(span)
    assert work.left == before


def test_ranges_are_long_first_and_short_at_the_end():
    lengths = [end - start for start, end in taken(Work([(0, 10 << 30)]), 4)]
    assert max(lengths) <= LONGEST
    assert lengths[0] == LONGEST
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] == 64 << 20


def test_one_range_for_a_place_without_ranges():
    work = Work([(8, 16), (32, 40)], shortest=SHORTEST)
    assert work.take_all() == Range(8, 40)
    assert work.take_all() is None
    assert work.take(1) is None


def pace_of(rates, **given):
    """The connections after each second of a network that gives `rates(connections)` bytes a second."""
    pace, moved, seen = Pace(**given), 1, []
    for now in range(12):
        seen.append(pace.look(moved, float(now)))
        moved += rates(seen[-1])
    return seen


def test_connections_grow_as_long_as_they_help():
    assert pace_of(lambda count: 1000 * count)[:6] == [1, 2, 4, 8, 8, 8]
    assert pace_of(lambda count: 1000 * min(count, 2))[-1] == 2
    assert pace_of(lambda count: 1000)[-1] == 1
    assert max(pace_of(lambda count: 1000 * count, most=3)) == 3


def test_nothing_is_decided_before_anything_came():
    pace = Pace()
    assert [pace.look(0, float(now)) for now in range(5)] == [1] * 5
