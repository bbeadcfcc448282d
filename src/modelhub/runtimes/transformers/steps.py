"""What a text goes through to become a vector, by `modules.json`. Imports no engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelhub.facts import JsonDict

_KNOWN = ("Transformer", "Pooling", "Dense", "Normalize")


@dataclass(frozen=True, slots=True)
class Step:
    """A step behind the pooling; `path` is its folder in the repository."""

    kind: str
    path: Path


def steps_of(details: JsonDict) -> tuple[Step, ...]:
    """The steps behind the pooling, but for the last one's length 1, which a request may not want."""
    steps = [Step(kind, Path(path)) for kind, path in _modules(details)[2:]]
    if steps and steps[-1].kind == "Normalize":
        steps.pop()
    return tuple(steps)


def unknown_steps(details: JsonDict) -> str:
    """Why these steps cannot be made; empty when they can be."""
    kinds = [kind for kind, _ in _modules(details)]
    if unknown := [kind for kind in kinds if kind not in _KNOWN]:
        return f"its modules.json has steps that are not known: {', '.join(unknown)}"
    if kinds and (kinds[:2] != ["Transformer", "Pooling"] or {*kinds[2:]} & {*_KNOWN[:2]}):
        return f"its modules.json has steps in an order that is not known: {', '.join(kinds)}"
    return ""


def _modules(details: JsonDict) -> list[tuple[str, str]]:
    modules: Any = details.get("modules") or []
    return [(str(module["type"]), str(module["path"])) for module in modules]
