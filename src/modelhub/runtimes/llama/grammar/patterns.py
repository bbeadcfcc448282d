"""Patterns in a grammar: what a JSON string that holds a matching text looks like.

Each state of the pattern's automaton becomes a rule that says which characters come next and which rule
after them. llama.cpp follows every way that is open at once, so a pattern written out as it stands, with
several ways to read the same text, would take it exponential time.
"""

from collections.abc import Iterator, Sequence

from modelhub.tasks.automaton import ESCAPED, PRINTED, State, automaton
from modelhub.tasks.regex import Ranges

_SHORT = 0xFFFF


def pattern_rules(name: str, pattern: str, least: int, most: int | None) -> dict[str, str]:
    """Rules for what stands between the quotes, the first of them called `name`; none when nothing may.

    Raises:
        ValueError: when they are too many.
    """
    return state_rules(name, automaton(pattern, least, most))


def state_rules(name: str, states: Sequence[State]) -> dict[str, str]:
    """A rule for each state, the first of them called `name`."""
    names = [name, *(f"{name}-{number}" for number in range(1, len(states)))]
    return {names[number]: _rule(state, names) for number, state in enumerate(states)}


def quoted(text: str) -> str:
    """The text itself as a terminal of the grammar."""
    return '"' + "".join(_letter(ord(letter)) for letter in text) + '"'


def _rule(state: State, names: list[str]) -> str:
    parts = [part for ranges, to in state.ways for part in _parts(ranges, names[to])]
    return " | ".join([*parts, '""'] if state.ends else parts)


def _parts(ranges: Ranges, following: str) -> Iterator[str]:
    """The characters as JSON has them, and the rule behind them."""
    escapes = "".join(
        _letter(ord(escape))
        for code, escape in ESCAPED.items()
        if any(first <= code <= last for first, last in ranges)
    )
    printed = [
        (max(first, begin), min(last, end))
        for first, last in ranges
        for begin, end in PRINTED
        if first <= end and begin <= last
    ]
    if printed:
        yield f"[{''.join(map(_range, printed))}] {following}"
    if escapes:
        yield f"[\\\\] [{escapes}] {following}"


def _range(ends: tuple[int, int]) -> str:
    first, last = ends
    return _letter(first) if first == last else f"{_letter(first)}-{_letter(last)}"


def _letter(code: int) -> str:
    """A character in ASCII: not every version of llama.cpp reads others alike."""
    letter = chr(code)
    if letter.isascii() and (letter.isalnum() or letter in " _"):
        return letter
    if letter.isascii():
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code <= _SHORT else f"\\U{code:08X}"
