"""Regular expressions as trees: what every engine reads alike of RE2's syntax.

https://github.com/google/re2/wiki/Syntax. Letters, classes, groups, alternatives and repeats.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_DEPTH = 32
"""Groups inside groups."""

LAST = 0x10FFFF
"""The last character there is."""

Ranges = tuple[tuple[int, int], ...]
"""Characters, as ranges whose ends are both in it; sorted, with gaps between them."""

_DIGITS = ((0x30, 0x39),)
_WORDS = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_BLANKS = ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20))
_NAMED = {"d": _DIGITS, "w": _WORDS, "s": _BLANKS}
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_COUNT = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}")


@dataclass(frozen=True, slots=True)
class Letter:
    """One character of some."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of them."""

    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same thing several times; `most` `None` is without end."""

    part: "Tree"
    least: int
    most: int | None


Tree = Letter | Sequence | Choice | Repeat


def read_pattern(pattern: str) -> tuple[Tree, bool]:
    """The tree of a pattern that RE2 takes, and whether `^` and `$` bind it to the whole text.

    Raises:
        ValueError: for what is not read alike everywhere, such as a boundary of words.
    """
    reader = _Reader(pattern)
    begins = reader.takes("^")
    tree = reader.alternatives()
    ends = reader.takes("$")
    if not reader.at_end:
        raise ValueError("a bracket closes what nothing opens")
    if begins and ends and reader.divides:
        raise ValueError("^ and $ bind only its first and its last alternative: put a group around them")
    return tree, begins and ends


def may_be_empty(tree: Tree) -> bool:
    """Whether the empty text matches."""
    if isinstance(tree, Letter):
        return False
    if isinstance(tree, Sequence):
        return all(map(may_be_empty, tree.parts))
    if isinstance(tree, Choice):
        return any(map(may_be_empty, tree.parts))
    return tree.least == 0 or may_be_empty(tree.part)


def repeats(tree: Tree) -> Iterator[Repeat]:
    """Every repeat in a tree, the outer ones first."""
    if isinstance(tree, Repeat):
        yield tree
        yield from repeats(tree.part)
    elif isinstance(tree, Sequence | Choice):
        for part in tree.parts:
            yield from repeats(part)


def union(*several: Ranges) -> Ranges:
    """The characters that are in any of them."""
    whole: list[tuple[int, int]] = []
    for first, last in sorted(each for ranges in several for each in ranges):
        if whole and first <= whole[-1][1] + 1:
            whole[-1] = (whole[-1][0], max(last, whole[-1][1]))
        else:
            whole.append((first, last))
    return tuple(whole)


def all_but(ranges: Ranges) -> Ranges:
    """All other characters."""
    begins = [0, *(last + 1 for _, last in ranges)]
    ends = [*(first - 1 for first, _ in ranges), LAST]
    return tuple((begin, end) for begin, end in zip(begins, ends, strict=True) if begin <= end)


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0
        self.divides = False
        """Whether an alternative stands outside of all groups."""

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._pattern)

    @property
    def _ahead(self) -> str:
        return self._pattern[self._at : self._at + 1]

    @property
    def _at_last_mark(self) -> bool:
        return self._ahead == "$" and self._at == len(self._pattern) - 1

    def takes(self, text: str) -> bool:
        found = self._pattern.startswith(text, self._at)
        self._at += len(text) * found
        return found

    def _next(self) -> str:
        if self.at_end:
            raise ValueError("it ends too early")
        self._at += 1
        return self._pattern[self._at - 1]

    def alternatives(self) -> Tree:
        """`a|b|c`, until the end or the bracket that closes it."""
        parts = [self._sequence()]
        while self.takes("|"):
            self.divides = self.divides or self._depth == 0
            parts.append(self._sequence())
        return Choice(tuple(parts)) if len(parts) > 1 else parts[0]

    def _sequence(self) -> Tree:
        parts: list[Tree] = []
        while not self.at_end and self._ahead not in "|)" and not self._at_last_mark:
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _repeated(self, atom: Tree) -> Tree:
        """`*`, `+`, `?`, `{2,3}`; whether it is greedy makes no difference to what matches."""
        counts = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(self._ahead)
        if counts is not None:
            self._at += 1
        elif found := _COUNT.match(self._pattern, self._at):
            self._at = found.end()
            least = int(found[1])
            most = found[3] if found[2] else found[1]
            counts = least, int(most) if most else None
        else:
            return atom
        self.takes("?")
        return Repeat(atom, *counts)

    def _atom(self) -> Tree:
        letter = self._next()
        if letter == "(":
            return self._group()
        if letter == "[":
            return Letter(self._class())
        if letter == "\\":
            return Letter(self._escape())
        if letter == ".":
            return Letter(all_but(_one("\n")))
        if letter in "^$":
            raise ValueError(f"{letter} stands inside it")
        return Letter(_one(letter))

    def _group(self) -> Tree:
        if self.takes("?") and not self.takes(":"):
            raise ValueError("it has a group with flags or a name")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"its groups are nested deeper than {MAX_DEPTH} levels")
        inside = self.alternatives()
        self._depth -= 1
        if not self.takes(")"):
            raise ValueError("a bracket is not closed, or $ stands inside it")
        return inside

    def _escape(self) -> Ranges:
        letter = self._next()
        if letter in _NAMED:
            return _NAMED[letter]
        if letter.lower() in _NAMED:
            return all_but(_NAMED[letter.lower()])
        return _one(_escaped(letter))

    def _class(self) -> Ranges:
        negative = self.takes("^")
        inside = self._member()
        while not self.takes("]"):
            inside = union(inside, self._member())
        return all_but(inside) if negative else inside

    def _member(self) -> Ranges:
        """A character of a class, a range, or a class in it."""
        if self._pattern.startswith("[:", self._at):
            raise ValueError("it has a class by its name, as in [[:alpha:]]")
        letter = self._next()
        if letter == "\\":
            found = self._escape()
            if self._ahead != "-" or len(found) != 1 or found[0][0] != found[0][1]:
                return found
            letter = chr(found[0][0])
        rest = self._pattern[self._at : self._at + 2]
        if rest[:1] != "-" or rest == "-]":
            return _one(letter)
        self._at += 1
        last = self._next()
        last = _escaped(self._next()) if last == "\\" else last
        return ((ord(letter), ord(last)),)


def _escaped(letter: str) -> str:
    if letter in _CONTROLS:
        return _CONTROLS[letter]
    if letter.isalnum():
        raise ValueError(f"\\{letter} is not read alike by every engine")
    return letter


def _one(letter: str) -> Ranges:
    return ((ord(letter), ord(letter)),)
