"""A schema's grammar. The notation: `ggml-org/llama.cpp: grammars/README.md`.

Rules for blanks, characters and formats are those of llama.cpp's own `common/json-schema-to-grammar.cpp`.
The schema was checked before (`modelhub.tasks.schema`): it is bounded, and no reference in it leads back
to itself. What a grammar does not express (a limit of a fraction, say) is left to the check of the answer.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from modelhub.errors import InvalidInput
from modelhub.runtimes.llama.grammar.merge import NoAnswer, Schema, both, values_of
from modelhub.runtimes.llama.grammar.numbers import integer, number
from modelhub.runtimes.llama.grammar.patterns import pattern_rules, quoted, state_rules
from modelhub.runtimes.llama.grammar.thoughts import Thought
from modelhub.tasks.automaton import State, all_but_texts
from modelhub.tasks.structured import fitting

_FIXED = {
    "space": r'| " " | "\n"{1,2} [ \t]{0,20}',
    "char": r'[^"\\\x7F\x00-\x1F] | [\\] (["\\bfnrt] | "u" [0-9a-fA-F]{4})',
    "string": r'"\"" char* "\"" space',
    "value": "object | array | string | number | boolean | null",
    "object": '"{" space ( string ":" space value ("," space string ":" space value)* )? "}" space',
    "array": '"[" space ( value ("," space value)* )? "]" space',
    "number": f"{number({})} space",
    "boolean": '("true" | "false") space',
    "null": '"null" space',
    "date": '[0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [1-2] [0-9] | "3" [0-1])',
    "time": '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{3})? '
    '("Z" | [-+] ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])',
    "date-time": 'date "T" time',
    "uuid": "[0-9a-fA-F]{8} " + '"-" [0-9a-fA-F]{4} ' * 3 + '"-" [0-9a-fA-F]{12}',
}
_NUMERIC = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_KEYWORDS = (
    ("object", {"properties", "additionalProperties", "required"}),
    ("array", {"items", "prefixItems", "minItems", "maxItems"}),
    ("string", {"minLength", "maxLength", "pattern", "format"}),
    ("number", _NUMERIC),
)
"""The type that a schema without one means, by what else it says."""

MAX_PARTS = 5000
"""Schemas that are written, each as often as alternatives around it need it."""

MAX_LETTERS = 1 << 20
_LEAST_OF_A_PATTERN = 500
MAX_REPEATS = 50_000
"""The sum of what `maxItems`, `maxLength` and the like say: llama.cpp makes a rule of each time."""


def grammar_of(schema: Schema, thought: Thought = Thought.NONE) -> str:
    """The grammar of the texts that are JSON by `schema`, and of the thought before it.

    Raises:
        InvalidInput: for what no answer can be by, and for what is too large.
    """
    writer = _Writer(schema)
    try:
        root = writer.expression(schema)
    except NoAnswer as error:
        raise InvalidInput(
            f"response_format.schema: no answer fits it: {error}", field="response_format"
        ) from None
    rules = {"root": thought.before(root), **thought.rules, **writer.rules, **_FIXED}
    return "".join(f"{name} ::= {body}\n" for name, body in rules.items())


class _Writer:
    """Writes expressions; what is used again becomes a rule. Raises `NoAnswer` where nothing fits."""

    def __init__(self, schema: Schema) -> None:
        self._shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
        self._names: dict[str, str] = {}
        self._patterns: dict[tuple[str, int, int | None], str] = {}
        self._others_than: dict[tuple[State, ...], str] = {}
        self._states: dict[str, str] = {}
        self._parts = self._repeats = self._letters = 0

    @property
    def rules(self) -> dict[str, str]:
        """The rules by name."""
        return {name: body for body, name in self._names.items()} | self._states

    def _rule(self, body: str) -> str:
        if body not in self._names:
            self._names[body] = f"r{len(self._names)}"
            self._letters += len(body)
        return self._names[body]

    def _count(self, *, parts: int = 0, repeats: int = 0) -> None:
        self._parts += parts
        self._repeats += repeats
        if self._parts > MAX_PARTS or self._repeats > MAX_REPEATS or self._letters > MAX_LETTERS:
            raise _too_large()

    def expression(self, schema: Schema | bool) -> str:
        """What a value is written by."""
        whole = self._merged(schema)
        if (values := values_of(whole)) is not None:
            return self._constants(values, whole)
        for key in ("anyOf", "oneOf"):
            if key in whole:
                base = {name: value for name, value in whole.items() if name != key}
                return self._one_of((base, each) for each in whole[key])
        kind = whole.get("type") or _meant(whole)
        if isinstance(kind, list):
            return self._one_of(({**whole, "type": each}, True) for each in kind)
        return self._typed(kind, whole)

    def _constants(self, values: list[Any], schema: Schema) -> str:
        rest = {
            **self._shared,
            **{name: schema[name] for name in schema if name not in {"const", "enum"}},
        }
        found = [quoted(json.dumps(each, ensure_ascii=False)) for each in fitting(values, rest)]
        if not found:
            raise NoAnswer("none of the values that it names is what it says besides")
        return self._rule(f"({' | '.join(dict.fromkeys(found))}) space")

    def _one_of(self, pairs: Iterable[tuple[Schema, Schema | bool]]) -> str:
        parts: dict[str, None] = {}
        reason = NoAnswer("it has no alternatives")
        for base, each in pairs:
            try:
                parts[self.expression(both(base, self._merged(each)))] = None
            except NoAnswer as error:
                reason = error
        if not parts:
            raise reason
        return self._rule(" | ".join(parts))

    def _typed(self, kind: str | None, schema: Schema) -> str:
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return self._array(schema)
        if kind == "string":
            return self._string(schema)
        if kind in {"integer", "number"}:
            body = integer(schema) if kind == "integer" else number(schema)
            return self._rule(f"{body} space")
        return kind or "value"

    def _merged(self, schema: Schema | bool) -> Schema:
        """The schema with what it refers to, and with all that it must be besides."""
        self._count(parts=1)
        if schema is False:
            raise NoAnswer("a part of it allows nothing")
        if schema is True:
            return {}
        whole: Schema = {}
        for part in self._others(schema):
            whole = both(whole, self._merged(part))
        return both(
            whole, {name: value for name, value in schema.items() if name not in {"$ref", "allOf"}}
        )

    def _others(self, schema: Schema) -> Iterator[Schema | bool]:
        if "$ref" in schema:
            _, key, name = schema["$ref"].split("/", 2)
            yield self._shared[key][name]
        yield from schema.get("allOf", ())

    def _may(self, schema: Schema | bool) -> str | None:
        """The expression, or nothing where no value is."""
        try:
            return None if schema is False else self.expression(schema)
        except NoAnswer:
            return None

    def _object(self, schema: Schema) -> str:
        properties, wanted = schema.get("properties", {}), schema.get("required", [])
        members = {**properties, **{name: True for name in wanted if name not in properties}}
        more = schema.get("additionalProperties", not members)
        if not members and more is True:
            return "object"
        any_other = self._may(more)
        pair = (
            any_other and f'{self._other_name(members) if members else "string"} ":" space {any_other}'
        )
        rest = self._rule(f'("," space {pair})*') if pair else '""'
        first = f"({pair} {rest})?" if pair else '""'
        for name in reversed(members):
            inside = members[name] if name in properties else schema.get("additionalProperties", True)
            value = self.expression(inside) if name in wanted else self._may(inside)
            if value is None:
                continue
            key = quoted(json.dumps(name, ensure_ascii=False))
            one = self._rule(f'{key} space ":" space {value}')
            if name in wanted:
                first, rest = f"{one} {rest}", self._rule(f'"," space {one} {rest}')
            else:
                first = self._rule(f"{one} {rest} | {first}")
                rest = self._rule(f'("," space {one})? {rest}')
        return self._rule(f'"{{" space {first} "}}" space')

    def _other_name(self, names: Iterable[str]) -> str:
        """The string of a member that is called by none of these names."""
        states = all_but_texts(names)
        name = f"n{len(self._others_than)}"
        name = self._others_than.setdefault(states, name)
        if name not in self._states:
            self._states |= (rules := state_rules(name, states))
            self._letters += sum(map(len, rules.values()))
            self._count(repeats=len(rules))
        return self._rule(rf'"\"" {name} "\"" space')

    def _array(self, schema: Schema) -> str:
        prefix = [self._may(each) for each in schema.get("prefixItems", [])]
        places = [place for place in prefix[: (*prefix, None).index(None)] if place]
        item = self._may(schema.get("items", not prefix)) if len(places) == len(prefix) else None
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
        most = None if most is None else int(most)
        if item is None:
            most = len(places) if most is None else min(most, len(places))
        if most is not None and least > most:
            raise NoAnswer(f"there is no array of {least} items")
        self._count(repeats=most or least)
        return self._rule(f'"[" space {_items(places, item or "", least, most)} "]" space')

    def _string(self, schema: Schema) -> str:
        least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
        most = None if most is None else int(most)
        if "pattern" in schema:
            inside = self._pattern(schema["pattern"], least, most)
        elif "format" in schema:
            inside = schema["format"]
        elif least or most is not None:
            self._count(repeats=most or least)
            inside = f"char{{{least},{'' if most is None else most}}}"
        else:
            return "string"
        return self._rule(rf'"\"" {inside} "\"" space')

    def _pattern(self, pattern: str, least: int, most: int | None) -> str:
        key = (pattern, least, most)
        if key not in self._patterns:
            name = f"p{len(self._patterns)}"
            try:
                rules = pattern_rules(name, *key)
            except ValueError:
                raise _too_large() from None
            if not rules:
                raise NoAnswer(f"no text of that length fits the pattern {pattern!r:.80}")
            self._patterns[key] = name
            self._states |= rules
            self._letters += sum(map(len, rules.values()))
            self._count(repeats=max(len(rules), _LEAST_OF_A_PATTERN))
        return self._patterns[key]


def _items(places: list[str], item: str, least: int, most: int | None) -> str:
    """What stands in an array: its first places, and `item` from there on."""
    begin = places[:most]
    if not begin and most != 0:
        inside = f"{item}{_more(item, max(least - 1, 0), None if most is None else most - 1)}"
        return inside if least else f"({inside})?"
    rest = None if most is None else most - len(begin)
    return ' "," space '.join(begin) + _more(item, max(least - len(begin), 0), rest)


def _more(item: str, least: int, most: int | None) -> str:
    if most == 0:
        return ""
    return f' ("," space {item}){{{least},{"" if most is None else most}}}'


def _too_large() -> InvalidInput:
    return InvalidInput(
        "response_format.schema: written out, its alternatives and counts are too many",
        hint="Take a simpler schema, or smaller counts.",
        field="response_format",
    )


def _meant(schema: Schema) -> str | None:
    return next((kind for kind, words in _KEYWORDS if words & set(schema)), None)
