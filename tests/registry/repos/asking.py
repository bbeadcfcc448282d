"""What a fact asks for: a small language of paths into a report (README.md beside this file)."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from modelhub.facts import Component, Model, Report, Variant

_STEP = re.compile(r"(?P<name>[a-z_0-9]+)(?:\[(?P<key>[^\]]+)\])?(?:\.|$)")


def ask(report: Report, what: str) -> Any:
    """The value that `what` names, as JSON has it.

    Raises:
        LookupError: where there is nothing of that name.
    """
    value: Any = report
    at = 0
    while at < len(what):
        step = _STEP.match(what, at)
        if step is None:
            raise LookupError(f"{what!r} is no path into a report")
        value = _step(value, step["name"], step["key"])
        at = step.end()
    return _plain(value)


def _step(value: Any, name: str, key: str | None) -> Any:
    for kind, steps in _STEPS:
        if isinstance(value, kind) and name in steps:
            return steps[name](value, key)
    if isinstance(value, dict):
        return value.get(name) if key is None else _named(value.get(name), key)
    known = {*type(value).model_fields, *type(value).model_computed_fields}
    if name not in known:
        raise LookupError(f"a {type(value).__name__} has no {name!r}")
    found = getattr(value, name)
    return found if key is None else _named(found, key)


def _named(values: Any, key: str) -> Any:
    if not isinstance(values, dict) or key not in values:
        raise LookupError(f"there is no {key!r}")
    return values[key]


def _pick(what: str, found: Sequence[Any], key: str | None) -> Any:
    names = [each.name for each in found]
    chosen = [each for each in found if key is None or each.name == key]
    if len(chosen) != 1:
        raise LookupError(f"{what}[{key or 'the only one'}] is not one of {names}")
    return chosen[0]


def _model(report: Report, key: str | None = None) -> Model:
    model: Model = _pick("model", report.models, key)
    return model


def _variant(model: Model, key: str | None = None) -> Variant:
    variant: Variant = _pick("variant", model.variants, key)
    return variant


def _component(variant: Variant, key: str | None = None) -> Component:
    component: Component = _pick("component", variant.components, key)
    return component


def _file(holder: Variant | Component, key: str | None) -> Any:
    for file in _files(holder):
        if file.path == key:
            return file
    raise LookupError(f"file[{key}] is not one of {[str(file.path) for file in _files(holder)]}")


def _files(holder: Variant | Component) -> list[Any]:
    if isinstance(holder, Component):
        return list(holder.files)
    return [file for _, file in holder.files()]


def _facts(report: Report, key: str | None) -> list[Any]:
    """The values that are stated of a subject's key, most trusted first, each once."""
    subject, _, name = (key or "").rpartition(" ")
    rows = [row for row in report.facts if (row.subject, row.key) == (subject, name)]
    values = [row.value for row in sorted(rows, key=lambda row: -row.trust)]
    return [value for n, value in enumerate(values) if value not in values[:n]]


def _warning(report: Report, key: str | None) -> str:
    texts = [warning.text for warning in report.warnings if warning.code == key]
    if not texts:
        raise LookupError(f"there is no warning {key}")
    return texts[0]


def _names(found: Sequence[Any]) -> list[str]:
    return [each.name for each in found]


def _paths(holder: Variant | Component, _key: str | None) -> list[str]:
    return sorted(str(file.path) for file in _files(holder))


Step = Callable[[Any, str | None], Any]

_STEPS: tuple[tuple[type, dict[str, Step]], ...] = (
    (
        Report,
        {
            "model": _model,
            "models": lambda report, _: sorted(_names(report.models)),
            "variant": lambda report, key: _variant(_model(report), key),
            "variants": lambda report, _: _names(_model(report).variants),
            "component": lambda report, key: _component(_variant(_model(report)), key),
            "components": lambda report, _: sorted(_names(_variant(_model(report)).components)),
            "warnings": lambda report, _: sorted({warning.code for warning in report.warnings}),
            "warning": _warning,
            "warned": lambda report, key: any(warning.code == key for warning in report.warnings),
            "facts": _facts,
        },
    ),
    (
        Model,
        {
            "variant": _variant,
            "variants": lambda model, _: _names(model.variants),
            "component": lambda model, key: _component(_variant(model), key),
            "components": lambda model, _: sorted(_names(_variant(model).components)),
        },
    ),
    (
        Variant,
        {
            "component": _component,
            "components": lambda variant, _: sorted(_names(variant.components)),
            "files": _paths,
            "file": _file,
        },
    ),
    (Component, {"files": _paths, "file": _file}),
)


def _plain(value: Any) -> Any:
    """Tuples as lists, models as mappings, enumerations as their texts."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, str) else value
