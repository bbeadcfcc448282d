"""What a pattern lets stand after what: an automaton that is in one state at a time.

An engine that is given these states never has two ways to go on, so it takes the same time for each
character, whatever the pattern.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise

from modelhub.tasks.regex import (
    LAST,
    Choice,
    Letter,
    Ranges,
    Repeat,
    Tree,
    all_but,
    read_pattern,
    union,
)

MAX_STATES = 3000
_MAX_STEPS = 6000
_MAX_WORK = 100_000
"""Steps looked at: a small part of a second."""

ESCAPED = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r", 34: '"', 92: "\\"}
"""Characters that JSON writes with a backslash."""

PRINTED: Ranges = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0x80, 0xD7FF), (0xE000, 0x10FFFF))
"""Characters that stand in a JSON string as they are. Those that are in neither are never written."""

Way = tuple[Ranges, int]
"""Some characters, and the state that they lead to."""

_Sets = tuple[int, int]
"""The steps that may come next, a bit for each, and how many characters there are already."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a text may end, or how it goes on: no character is in two of the ways."""

    ends: bool
    ways: tuple[Way, ...]


@lru_cache(maxsize=256)
def automaton(pattern: str, least: int = 0, most: int | None = None) -> tuple[State, ...]:
    """The states, the first one first, of the texts of `least` to `most` characters that a pattern takes;
    none when no text is such.

    Raises:
        ValueError: when they are too many.
    """
    steps = _Steps(read_pattern(pattern)[0])
    return _live(_Walk(steps, least, most).states())


def all_but_texts(texts: Iterable[str]) -> tuple[State, ...]:
    """The states, the first one first, of every text but these."""
    ways: list[dict[int, int]] = [{}]
    refused: set[int] = set()
    for text in texts:
        at = 0
        for letter in text:
            if ord(letter) not in ways[at]:
                ways[at][ord(letter)] = len(ways)
                ways.append({})
            at = ways[at][ord(letter)]
        refused.add(at)
    anything = len(ways)
    states = [
        State(at not in refused, (*_letters(branch), (_other_letters(branch), anything)))
        for at, branch in enumerate(ways)
    ]
    return (*states, State(ends=True, ways=((((0, LAST),), anything),)))


def _letters(branch: Mapping[int, int]) -> Iterator[Way]:
    return ((((code, code),), to) for code, to in branch.items())


def _other_letters(branch: Iterable[int]) -> Ranges:
    return all_but(union(*(((code, code),) for code in branch)))


class _Steps:
    """The letters of a pattern, each with what may follow it. Number 0 is the end of the text; a step
    without letters is a place to which a repeat comes back.
    """

    def __init__(self, tree: Tree) -> None:
        self.letters: list[Ranges | None] = [()]
        self._next: list[set[int]] = [set()]
        self._first = self._before(tree, {0})

    @property
    def first(self) -> int:
        """With which letters a text begins, a bit for each."""
        return self._bits(self._first)

    @property
    def after(self) -> list[int]:
        """With which letters it goes on after each."""
        return [self._bits(following) for following in self._next]

    def _bits(self, steps: Iterable[int]) -> int:
        seen = set(steps)
        ahead = list(seen)
        while ahead:
            step = ahead.pop()
            if self.letters[step] is None:
                ahead += self._next[step] - seen
                seen |= self._next[step]
        return sum(1 << step for step in seen if self.letters[step] is not None)

    def _add(self, letters: Ranges | None, following: set[int]) -> int:
        if len(self.letters) > _MAX_STEPS:
            raise ValueError("it is too long once its repeats are written out")
        self.letters.append(letters)
        self._next.append(following)
        return len(self.letters) - 1

    def _before(self, tree: Tree, following: set[int]) -> set[int]:
        """With which steps `tree` begins, when `following` comes behind it."""
        if isinstance(tree, Letter):
            return {self._add(tree.ranges, following)}
        if isinstance(tree, Choice):
            return set().union(*(self._before(part, following) for part in tree.parts))
        if isinstance(tree, Repeat):
            return self._before_repeat(tree, following)
        for part in reversed(tree.parts):
            following = self._before(part, following)
        return following

    def _before_repeat(self, tree: Repeat, following: set[int]) -> set[int]:
        begin = following
        if tree.most is None:
            again = self._add(None, set())
            self._next[again] = self._before(tree.part, {again}) | following
            begin = {again}
        for _ in range((tree.most or tree.least) - tree.least):
            begin = self._before(tree.part, begin) | following
        for _ in range(tree.least):
            begin = self._before(tree.part, begin)
        return begin


class _Walk:
    """Finds the states, beginning at the first."""

    def __init__(self, steps: _Steps, least: int, most: int | None) -> None:
        self._least, self._most = least, most
        kinds = _kinds({letters for letters in steps.letters if letters})
        self._ranges = list(kinds.values())
        self._kinds = [[at for at, kind in enumerate(kinds) if each in kind] for each in steps.letters]
        self._after = steps.after
        self._numbers: dict[_Sets, int] = {(steps.first, 0): 0}
        self._work = 0

    def states(self) -> list[State]:
        """All of them."""
        found: list[State] = []
        ahead = list(self._numbers)
        while ahead:
            found += map(self._state, ahead)
            ahead = list(islice(self._numbers, len(found), None))
        return found

    def _state(self, sets: _Sets) -> State:
        open_steps, count = sets
        ends = bool(open_steps & 1) and count >= self._least
        if self._most is not None and count >= self._most:
            return State(ends, ())
        following: dict[int, int] = {}
        for step in _numbers(open_steps):
            self._work += len(self._kinds[step])
            for kind in self._kinds[step]:
                following[kind] = following.get(kind, 0) | self._after[step]
        if self._work > _MAX_WORK or len(self._numbers) > MAX_STATES:
            raise ValueError("it can go on in too many ways")
        return State(ends, tuple(self._ways(following, self._counted(count))))

    def _counted(self, count: int) -> int:
        return count + 1 if self._most is not None else min(count + 1, self._least)

    def _ways(self, following: dict[int, int], count: int) -> Iterator[Way]:
        kinds: dict[int, list[int]] = {}
        for kind, steps in following.items():
            kinds.setdefault(steps, []).append(kind)
        for steps, those in kinds.items():
            number = self._numbers.setdefault((steps, count), len(self._numbers))
            yield union(*(self._ranges[kind] for kind in those)), number


def _kinds(several: set[Ranges]) -> dict[frozenset[Ranges], Ranges]:
    """Characters that can be written and that are in the same ones of `several`, by those."""
    known = union(PRINTED, tuple((key, key) for key in ESCAPED))
    cuts = sorted({cut for each in (known, *several) for low, high in each for cut in (low, high + 1)})
    kinds: dict[frozenset[Ranges], list[tuple[int, int]]] = {}
    for first, behind in pairwise(cuts):
        those = frozenset(each for each in several if _holds(each, first))
        if those and _holds(known, first):
            kinds.setdefault(those, []).append((first, behind - 1))
    return {those: tuple(ranges) for those, ranges in kinds.items()}


def _holds(ranges: Ranges, code: int) -> bool:
    return any(first <= code <= last for first, last in ranges)


def _numbers(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _live(states: list[State]) -> tuple[State, ...]:
    """Those that lead to an end, numbered anew."""
    before: dict[int, set[int]] = {}
    for number, state in enumerate(states):
        for _, target in state.ways:
            before.setdefault(target, set()).add(number)
    live = {number for number, state in enumerate(states) if state.ends}
    ahead = list(live)
    while ahead:
        new = before.get(ahead.pop(), set()) - live
        live |= new
        ahead += new
    if 0 not in live:
        return ()
    numbers = {old: new for new, old in enumerate(sorted(live))}
    return tuple(
        State(
            states[old].ends,
            tuple((ranges, numbers[to]) for ranges, to in states[old].ways if to in live),
        )
        for old in numbers
    )
