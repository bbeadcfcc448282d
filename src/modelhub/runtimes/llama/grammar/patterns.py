"""Regular expressions in a grammar: what a JSON string that holds a matching text looks like.

The pattern was checked before (`modelhub.tasks.patterns`): it is anchored at both ends and RE2 takes it.
"""

from modelhub.errors import InvalidInput

_ANY = r'[^"\\\x00-\x1F\x7F]'
CLASSES = {"d": "0-9", "w": "0-9A-Za-z_", "s": " "}
"""Blanks are spaces alone: a line's end must be written as an escape inside a string."""

_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_ESCAPED = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\f": r"\f", '"': r"\"", "\\": r"\\"}
"""Characters that JSON escapes, and how."""

_PRINTS = 0x20
_LITERALS = frozenset("]}-/ :;,=<>@#%&!~`'\"")


def pattern_rule(pattern: str) -> str:
    """A GBNF expression for what stands between the quotes.

    Raises:
        InvalidInput: for what a grammar cannot express, such as a boundary of words.
    """
    reader = _Reader(pattern.removeprefix("^").removesuffix("$"))
    expression = reader.alternatives()
    if not reader.at_end:
        raise reader.refused("a bracket that nothing opens")
    return expression


def quoted(text: str) -> str:
    """The text itself as a terminal of the grammar."""
    return '"' + "".join(map(_in_quotes, text)) + '"'


def _in_quotes(letter: str) -> str:
    if letter in {'"', "\\"}:
        return "\\" + letter
    return letter if ord(letter) >= _PRINTS else f"\\x{ord(letter):02X}"


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._pattern)

    def refused(self, what: str) -> InvalidInput:
        return InvalidInput(
            f"response_format.schema: llama.cpp cannot bind an answer by the pattern "
            f"{self._pattern!r:.80}: {what}",
            hint="Letters, classes, groups, alternatives and repeats will do.",
            field="response_format",
        )

    def alternatives(self) -> str:
        """`a|b|c`, until the end or the bracket that closes it."""
        parts = [self._sequence()]
        while self._takes("|"):
            parts.append(self._sequence())
        return " | ".join(parts)

    def _sequence(self) -> str:
        parts = []
        while not self.at_end and self._ahead not in "|)":
            parts.append(self._atom() + self._repeat())
        return " ".join(parts) or '""'

    @property
    def _ahead(self) -> str:
        return self._pattern[self._at]

    def _next(self) -> str:
        if self.at_end:
            raise self.refused("it ends too early")
        letter = self._ahead
        self._at += 1
        return letter

    def _takes(self, text: str) -> bool:
        found = self._pattern.startswith(text, self._at)
        self._at += len(text) * found
        return found

    def _repeat(self) -> str:
        """`*`, `+`, `?`, `{2,3}`; whether it is greedy makes no difference to what matches."""
        if self.at_end or self._ahead not in "*+?{":
            return ""
        repeat = self._next()
        if repeat == "{":
            end = self._pattern.index("}", self._at) + 1
            repeat += self._pattern[self._at : end]
            self._at = end
        self._takes("?")
        return repeat

    def _atom(self) -> str:
        letter = self._next()
        if letter == "(":
            return self._group()
        if letter == "[":
            return self._class()
        if letter == "\\":
            return self._escape()
        if letter == ".":
            return _ANY
        if letter in "^$":
            raise self.refused(f"{letter} inside it")
        return _letter(letter)

    def _group(self) -> str:
        if self._takes("?") and not self._takes(":"):
            raise self.refused("a group with flags or a name")
        inside = self.alternatives()
        if not self._takes(")"):
            raise self.refused("a bracket that nothing closes")
        return f"({inside})"

    def _escape(self) -> str:
        letter = self._next()
        if letter in CLASSES:
            return f"[{CLASSES[letter]}]"
        if letter.lower() in CLASSES:
            return self._all_but(CLASSES[letter.lower()])
        return _letter(self._escaped(letter))

    def _escaped(self, letter: str) -> str:
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter.isalnum():
            raise self.refused(f"\\{letter}")
        return letter

    def _class(self) -> str:
        negative = self._takes("^")
        parts, special = "", []
        first = True
        while first or self._ahead_or_end != "]":
            first = False
            ranges, letter = self._member()
            parts += ranges
            special += [letter] if letter else []
        self._at += 1
        if negative:
            return self._all_but(parts)
        escaped = [_letter(letter) for letter in special]
        return f"({' | '.join([f'[{parts}]'] * bool(parts) + escaped)})"

    @property
    def _ahead_or_end(self) -> str:
        if self.at_end:
            raise self.refused("a class that nothing closes")
        return self._ahead

    def _member(self) -> tuple[str, str]:
        """A range of a class, or a letter that JSON escapes."""
        letter = self._next()
        if letter == "[" and self._takes(":"):
            raise self.refused("a class by its name")
        if letter == "\\":
            letter = self._next()
            if letter in CLASSES:
                return CLASSES[letter], ""
            letter = self._escaped(letter)
        if self._pattern[self._at : self._at + 1] == "-" and self._pattern[
            self._at + 1 : self._at + 2
        ] not in {"]", ""}:
            self._at += 1
            last = self._next()
            last = self._escaped(self._next()) if last == "\\" else last
            if not _PRINTS <= ord(letter) <= ord(last):
                raise self.refused(f"the range {letter}-{last}")
            return _ranges(letter, last), ""
        return ("", letter) if letter in _ESCAPED else (_in_class(letter), "")

    def _all_but(self, ranges: str) -> str:
        return rf'[^"\\\x00-\x1F\x7F{ranges}]'


def _ranges(first: str, last: str) -> str:
    """The range without what JSON escapes; the quote and the backslash must not stand in a string."""
    parts, begin = "", ord(first)
    for gap in (ord('"'), ord("\\"), ord(last) + 1):
        if begin <= gap <= ord(last) + 1:
            if begin < gap:
                parts += f"{_in_class(chr(begin))}-{_in_class(chr(gap - 1))}"
            begin = gap + 1
    return parts


def _letter(letter: str) -> str:
    return quoted(_ESCAPED.get(letter, letter))


def _in_class(letter: str) -> str:
    return f"\\x{ord(letter):02X}" if letter in "]^-\\[" else letter
