"""What the headers of a model's graphs say, in modelhub's terms. A stranger wrote them."""

from collections.abc import Iterable, Iterator, Mapping

from modelhub.facts import Evidence, JsonDict, JsonValue
from modelhub.formats import ONNXHeader, ONNXValue
from modelhub.refs import RepoPath
from modelhub.registry.introspect.base import FROM_HEADER

__all__ = ["graph_details", "graph_names", "header_evidence"]

MAX_VALUES = 512
"""Of one graph's inputs, and of its outputs."""
MAX_TEXT = 200
MAX_NAMED = 8


def graph_details(read: Mapping[str, tuple[RepoPath, ONNXHeader]]) -> JsonDict:
    """Operator sets, and what each part takes and gives: name, dtype and shape, a number, a name or
    null for each dimension; nothing where no header was read.
    """
    if not read:
        return {}
    headers = {part: header for part, (_, header) in read.items()}
    graphs: JsonDict = {
        part: {"inputs": _values(header.inputs), "outputs": _values(header.outputs)}
        for part, header in headers.items()
    }
    opsets: JsonDict = {}
    for header in headers.values():
        for domain, version in list(header.opsets.items())[:MAX_NAMED]:
            name = _text(domain or "ai.onnx")
            seen = opsets.get(name)
            opsets[name] = max(version, seen) if isinstance(seen, int) else version
    return {"graphs": graphs, "opsets": opsets}


def graph_names(headers: Iterable[ONNXHeader]) -> str:
    """The inputs and outputs of graphs, for a person to read."""
    told = []
    for header in headers:
        takes, gives = _some(header.inputs), _some(header.outputs)
        told.append(f"{takes} → {gives}")
    return "; ".join(told[:MAX_NAMED])


def header_evidence(subject: str, path: str, header: ONNXHeader) -> Iterator[Evidence]:
    """What the header of `path` says, as statements about `subject`."""
    license_name = header.metadata.get("license", "").partition(" License")[0].partition(" (")[0]
    said: dict[str, tuple[JsonValue, str]] = {
        "opset": (header.opsets.get(""), "opset_import"),
        "producer": (_text(f"{header.producer} {header.producer_version}".strip()), "producer_name"),
        "parameters": (_plausible(header.parameters), "initializers"),
        "license": (_text(license_name.strip()), "metadata: license"),
    }
    for key, (value, source) in said.items():
        if value is not None and value != "":
            evidence = f"{path}: {source}"
            yield Evidence(subject=subject, key=key, value=value, evidence=evidence, trust=FROM_HEADER)


def _values(values: tuple[ONNXValue, ...]) -> list[JsonValue]:
    return [
        {"name": _text(each.name), "dtype": each.dtype or each.kind, "shape": _shape(each)}
        for each in values[:MAX_VALUES]
    ]


def _shape(value: ONNXValue) -> JsonValue:
    if value.shape is None:
        return None
    return [_text(each) if isinstance(each, str) else each for each in value.shape]


def _some(values: tuple[ONNXValue, ...]) -> str:
    names = [_text(each.name) for each in values[:MAX_NAMED]]
    return ", ".join(names) + ("…" if len(values) > MAX_NAMED else "") or "nothing"


def _text(text: str) -> str:
    """A text if it is a short one of one line, else none."""
    return text if len(text) <= MAX_TEXT and text.isprintable() else ""


def _plausible(number: int | None) -> int | None:
    """A number that a database and JSON can hold, else `None`."""
    return number if number is not None and number <= 1 << 53 else None
