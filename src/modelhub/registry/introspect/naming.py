"""Names for what is found: short, such as a tag can spell, and no two the same."""

import re
from collections.abc import Iterable, Iterator

from modelhub.registry.introspect.weight_names import model_name, plain_name

__all__ = ["repository_name", "unique"]

_FORMAT = re.compile(r"(?:gguf|onnx)\Z")


def repository_name(name: str) -> str:
    """The name of a repository's only model: the repository's."""
    if name.lower().endswith((".gguf", ".onnx")):
        # A single local file is a repository of its own name.
        return model_name(name.lower().removesuffix(".onnx")) or "model"
    bare = plain_name(name)
    return plain_name(_FORMAT.sub("", bare)) or bare or "model"


def unique(choices: Iterable[list[str]]) -> list[str]:
    """One of each list of candidates, no two the same; the last gets a number if it must."""
    taken: set[str] = set()
    names = []
    for candidates in choices:
        name = next(name for name in _with_numbers(candidates) if name and name not in taken)
        taken.add(name)
        names.append(name)
    return names


def _with_numbers(candidates: list[str]) -> Iterator[str]:
    yield from candidates
    number = 2
    while True:
        yield f"{candidates[-1]}-{number}"
        number += 1
