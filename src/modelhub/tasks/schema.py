"""JSON schemas of callers, checked before any engine makes a grammar of them.

The dialect is draft 2020-12 (https://json-schema.org/draft/2020-12), of it what llama.cpp's grammars
express (`ggml-org/llama.cpp: grammars/README.md`). The bounds are row 11 of the threat table in
docs/explanation/security.md.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from modelhub.errors import InvalidInput
from modelhub.facts import JsonDict
from modelhub.tasks.limits import limits_problem
from modelhub.tasks.patterns import pattern_problem

MAX_BYTES = 64 << 10
MAX_DEPTH = 32
MAX_NODES = 1000
MAX_COUNT = 1000
"""The most that `minItems`, `maxLength` and the like may say: a grammar writes each repeat out."""

MAX_PATTERNS = 64
"""Different ones; each takes a moment to look at."""

FIELD = "response_format"

_ANNOTATIONS = {"$comment", "$schema", "default", "deprecated", "description", "examples", "title"}
_SCHEMAS = {"additionalProperties", "items"}
_LISTS = {"allOf", "anyOf", "oneOf", "prefixItems"}
_MAPS = {"$defs", "definitions", "properties"}
_COUNTS = {"maxItems", "maxLength", "minItems", "minLength"}
_VALUES = {"const", "enum", "exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"}
_KNOWN = (
    _ANNOTATIONS
    | _SCHEMAS
    | _LISTS
    | _MAPS
    | _COUNTS
    | _VALUES
    | {"$ref", "format", "pattern", "required", "type"}
)
_FORMATS = {"date", "date-time", "time", "uuid"}
_REFS = ("#/$defs/", "#/definitions/")

Place = tuple[str, ...]


def check_schema(schema: Any) -> JsonDict:
    """The schema, if an engine can be bound to it.

    Raises:
        InvalidInput: naming the place in the schema, what came and what would do.
    """
    if not isinstance(schema, Mapping):
        raise _refused((), f"a schema is an object, not {type(schema).__name__}")
    _check_size(schema)
    found: JsonDict = json.loads(json.dumps(schema))
    _check_patterns(found)
    for place, node in _nodes(found, ()):
        _check_node(place, node)
    _check_valid(found)
    for place, node in _nodes(found, ()):
        _check_limits(place, node)
    _check_refs(found)
    return found


def _check_size(schema: Mapping[str, Any]) -> None:
    """Bounds on what may be walked at all; without recursion, which depth would exhaust."""
    ahead: list[tuple[Any, int]] = [(schema, 1)]
    nodes = 0
    while ahead:
        value, depth = ahead.pop()
        nodes += 1
        if depth > MAX_DEPTH:
            raise _refused((), f"it is nested deeper than {MAX_DEPTH} levels")
        if nodes > MAX_NODES:
            raise _refused((), f"it has more than {MAX_NODES} values")
        if isinstance(value, Mapping):
            if not all(isinstance(key, str) for key in value):
                raise _refused((), "its keys must be texts")
            ahead += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list | tuple):
            ahead += [(item, depth + 1) for item in value]
        elif not (value is None or isinstance(value, str | int | float | bool)):
            raise _refused((), f"{type(value).__name__} is not JSON")
    try:
        size = len(json.dumps(schema, allow_nan=False).encode())
    except ValueError as error:
        raise _refused((), f"it is not JSON: {error}") from None
    if size > MAX_BYTES:
        raise _refused((), f"it has {size:,} bytes, and at most {MAX_BYTES:,} are taken")


def _nodes(value: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    """Every schema in a schema, with its place."""
    yield place, value
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key in _SCHEMAS:
            yield from _nodes(item, (*place, key))
        elif key in _LISTS and isinstance(item, list):
            for index, inner in enumerate(item):
                yield from _nodes(inner, (*place, key, str(index)))
        elif key in _MAPS and isinstance(item, dict):
            for name, inner in item.items():
                yield from _nodes(inner, (*place, key, name))


def _check_patterns(schema: JsonDict) -> None:
    found = [node.get("pattern") for _, node in _nodes(schema, ()) if isinstance(node, dict)]
    if len({each for each in found if isinstance(each, str)}) > MAX_PATTERNS:
        raise _refused((), f"it has more than {MAX_PATTERNS} patterns")


def _check_node(place: Place, node: Any) -> None:
    if not isinstance(node, dict):
        return
    if unknown := sorted(set(node) - _KNOWN):
        raise _refused(
            (*place, unknown[0]),
            "engines cannot bind an answer by this keyword",
            hint=f"Known are {', '.join(sorted(_KNOWN - _ANNOTATIONS))}.",
        )
    for key in sorted(_COUNTS & set(node)):
        count = node[key]
        if isinstance(count, int | float) and count > MAX_COUNT:
            raise _refused((*place, key), f"{count} is more than {MAX_COUNT}")
    pattern = node.get("pattern")
    if isinstance(pattern, str) and (problem := pattern_problem(pattern)):
        raise _refused((*place, "pattern"), problem)
    if node.get("format", "date") not in _FORMATS:
        known = ", ".join(sorted(_FORMATS))
        raise _refused(
            (*place, "format"), f"{node['format']!r:.60} is not known", hint=f"Known are {known}."
        )


def _check_limits(place: Place, node: Any) -> None:
    if isinstance(node, dict) and (found := limits_problem(node)):
        word, problem = found
        raise _refused((*place, word), problem)


def _check_valid(schema: JsonDict) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema, format_checker=None)  # else `re` reads the patterns
    except SchemaError as error:
        raise _refused(tuple(map(str, error.path)), error.message[:200]) from None


def _check_refs(schema: JsonDict) -> None:
    """References lead to definitions of this schema, never in a circle, and to no flood of copies."""
    sizes: dict[str, int] = {}
    total = _expanded(schema, schema, (), sizes)
    if total > MAX_NODES:
        raise _refused((), f"written out without $ref it has more than {MAX_NODES} values")


def _expanded(value: Any, schema: JsonDict, way: Place, sizes: dict[str, int]) -> int:
    """How many schemas there are once every reference is replaced; definitions count where they are used."""
    if not isinstance(value, dict):
        return 1
    total = 1
    if isinstance(ref := value.get("$ref"), str):
        if ref in way:
            raise _refused(("$ref",), f"{ref!r:.100} leads back to itself")
        if ref not in sizes:
            sizes[ref] = _expanded(_definition(ref, schema), schema, (*way, ref), sizes)
        total += sizes[ref]
    for key, item in value.items():
        if key in _SCHEMAS:
            total += _expanded(item, schema, way, sizes)
        elif key in _LISTS and isinstance(item, list):
            total += sum(_expanded(inner, schema, way, sizes) for inner in item)
        elif key == "properties" and isinstance(item, dict):
            total += sum(_expanded(inner, schema, way, sizes) for inner in item.values())
    return min(total, MAX_NODES + 1)


def _definition(ref: str, schema: JsonDict) -> Any:
    for start in _REFS:
        if ref.startswith(start):
            inner: Any = schema.get(start.strip("#/"), {})
            name = ref.removeprefix(start)
            if isinstance(inner, dict) and name in inner:
                return inner[name]
    raise _refused(
        ("$ref",), f"{ref!r:.100} is no definition of this schema", hint="Write #/$defs/NAME."
    )


def _refused(place: Place, problem: str, hint: str = "") -> InvalidInput:
    where = ".".join((FIELD, "schema", *(part[:60] for part in place)))
    return InvalidInput(f"{where}: {problem}", hint=hint, field=FIELD)
