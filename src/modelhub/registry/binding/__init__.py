"""Repositories that build on others: what they refer to, and models with the files of those. Pure."""

from modelhub.registry.binding.bind import bind, unbind
from modelhub.registry.binding.reference import (
    Known,
    Outcome,
    Problem,
    Reference,
    references,
)

__all__ = ["Known", "Outcome", "Problem", "Reference", "bind", "references", "unbind"]
