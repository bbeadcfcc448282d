"""Repositories that the diffusers library opens: a pipeline of several models, a folder each."""

from modelhub.registry.introspect.diffusers.family import DiffusersFamily
from modelhub.registry.introspect.diffusers.layout import layout_findings

__all__ = ["DiffusersFamily", "layout_findings"]
