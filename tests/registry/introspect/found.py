"""What introspection found, as tests ask for it."""

from modelhub.facts import Model, Variant
from modelhub.registry.introspect import Findings


def only_model(found: Findings) -> Model:
    (model,) = found.models
    return model


def codes(found: Findings) -> list[str]:
    return [warning.code for warning in found.warnings]


def said(found: Findings, subject: str, key: str) -> dict[object, int]:
    """What is said of a subject's fact, and how far each is to be trusted."""
    return {row.value: row.trust for row in found.evidence if (row.subject, row.key) == (subject, key)}


def paths(variant: Variant, component: str) -> list[str]:
    """The files of one of its parts."""
    (part,) = [part for part in variant.components if part.name == component]
    return [file.path for file in part.files]
