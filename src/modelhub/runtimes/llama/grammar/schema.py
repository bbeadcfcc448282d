"""A schema's grammar. The notation: `ggml-org/llama.cpp: grammars/README.md`.

Rules for blanks, characters and formats are those that llama.cpp's own server makes
(`common/json-schema-to-grammar.cpp`), so that a model writes the same by either. The schema was checked
before (`modelhub.tasks.schema`): it is bounded, and no reference in it leads back to itself. What a
grammar does not express (a limit of a fraction, say) is left to the check of the answer.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from modelhub.errors import InvalidInput
from modelhub.runtimes.llama.grammar.numbers import integer, number
from modelhub.runtimes.llama.grammar.patterns import pattern_rule, quoted

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

_THOUGHT = '( [^<] | "<"+ ( [^/<] | "/" [^t<] ) )* "<"* "</think>" [ \\n]*'

Schema = Mapping[str, Any]


def grammar_of(schema: Schema, *, thinking: bool = False) -> str:
    """The grammar of the texts that are JSON by `schema`; behind the rest of a thought if `thinking`.

    Raises:
        InvalidInput: for what no answer can be by.
    """
    writer = _Writer(schema)
    root = writer.expression(schema)
    if thinking:
        root = f"{_THOUGHT} ({root})"
    rules = {"root": root, **writer.rules, **_FIXED}
    return "".join(f"{name} ::= {body}\n" for name, body in rules.items())


class _Writer:
    """Writes expressions; what is used again becomes a rule."""

    def __init__(self, schema: Schema) -> None:
        self._definitions = {
            f"#/{key}/{name}": inner
            for key in ("$defs", "definitions")
            for name, inner in schema.get(key, {}).items()
        }
        self._names: dict[str, str] = {}

    @property
    def rules(self) -> dict[str, str]:
        """The rules by name."""
        return {name: body for body, name in self._names.items()}

    def _rule(self, body: str) -> str:
        return self._names.setdefault(body, f"r{len(self._names)}")

    def expression(self, schema: Schema | bool) -> str:
        """What a value is written by."""
        whole = self._merged(schema)
        if "const" in whole:
            return _constant(whole["const"])
        if "enum" in whole:
            return self._one_of({"const": value} for value in whole["enum"])
        for key in ("anyOf", "oneOf"):
            if key in whole:
                base = {name: value for name, value in whole.items() if name != key}
                those = [each for each in whole[key] if each is not False]
                return self._one_of(_both(base, self._merged(each)) for each in those)
        kind = whole.get("type") or _meant(whole)
        if isinstance(kind, list):
            return self._one_of({**whole, "type": each} for each in kind)
        return self._typed(kind, whole)

    def _one_of(self, schemas: Iterable[Schema]) -> str:
        parts = dict.fromkeys(map(self.expression, schemas))
        if not parts:
            raise _nothing()
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
        if schema is False:
            raise _nothing()
        if schema is True:
            return {}
        parts = [self._definitions[schema["$ref"]]] if "$ref" in schema else []
        whole: Schema = {}
        for part in (*parts, *schema.get("allOf", [])):
            whole = _both(whole, self._merged(part))
        own = {name: value for name, value in schema.items() if name not in {"$ref", "allOf"}}
        return _both(whole, own)

    def _object(self, schema: Schema) -> str:
        wanted = schema.get("required", [])
        properties = {**dict.fromkeys(wanted, True), **schema.get("properties", {})}
        properties = {name: properties[name] for name in _order(schema, wanted)}
        more = schema.get("additionalProperties", not properties)
        if not properties and more is True:
            return "object"
        pair = f'string ":" space {self.expression(more)}' if more is not False else None
        rest = self._rule(f'("," space {pair})*') if pair else '""'
        first = f"({pair} {rest})?" if pair else '""'
        for name in reversed(properties):
            one = self._rule(
                f'{quoted(json.dumps(name, ensure_ascii=False))} space ":" space '
                f"{self.expression(properties[name])}"
            )
            if name in wanted:
                first, rest = f"{one} {rest}", self._rule(f'"," space {one} {rest}')
            else:
                first = self._rule(f"{one} {rest} | {first}")
                rest = self._rule(f'("," space {one})? {rest}')
        return self._rule(f'"{{" space {first} "}}" space')

    def _array(self, schema: Schema) -> str:
        prefix = [self.expression(each) for each in schema.get("prefixItems", [])]
        more = schema.get("items", not prefix)
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
        if more is False:
            most = len(prefix)
        item = self.expression(more) if more is not False else '""'
        places = [*prefix, *[item] * max(0, least - len(prefix))]
        inside = ' "," space '.join(places[: None if most is None else int(most)])
        if most is None or most > len(places):
            again = f'("," space {item})'
            left = "" if most is None else str(int(most) - len(places) - (not places))
            inside = f"{inside} {again}{{0,{left}}}" if places else f"({item} {again}{{0,{left}}})?"
        return self._rule(f'"[" space {inside} "]" space')

    def _string(self, schema: Schema) -> str:
        if "pattern" in schema:
            inside = f"({pattern_rule(schema['pattern'])})"
        elif "format" in schema:
            inside = schema["format"]
        elif "minLength" in schema or "maxLength" in schema:
            most = schema.get("maxLength")
            inside = f"char{{{int(schema.get('minLength', 0))},{'' if most is None else int(most)}}}"
        else:
            return "string"
        return self._rule(rf'"\"" {inside} "\"" space')


def _nothing() -> InvalidInput:
    return InvalidInput("response_format.schema: no answer fits it", field="response_format")


def _order(schema: Schema, wanted: list[str]) -> list[str]:
    """Properties as the schema has them, then those that are only demanded."""
    return list(dict.fromkeys([*schema.get("properties", {}), *wanted]))


def _meant(schema: Schema) -> str | None:
    return next((kind for kind, words in _KEYWORDS if words & set(schema)), None)


def _constant(value: Any) -> str:
    return f"{quoted(json.dumps(value, ensure_ascii=False))} space"


def _both(one: Schema, other: Schema) -> Schema:
    """What is both; where the two say the same word, `other` counts."""
    whole = {**one, **other}
    if "properties" in one and "properties" in other:
        shared = set(one["properties"]) & set(other["properties"])
        joined = {
            name: {"allOf": [one["properties"][name], other["properties"][name]]} for name in shared
        }
        whole["properties"] = {**one["properties"], **other["properties"], **joined}
    if "required" in one and "required" in other:
        whole["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    return whole
