"""Repositories of adapters: small weights that are added to those of another repository, their base."""

from modelhub.registry.introspect.adapters.family import AdaptersFamily

__all__ = ["AdaptersFamily"]
