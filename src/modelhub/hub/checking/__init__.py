"""Whether a store and the database go together, and how they come together again."""

from modelhub.hub.checking.checker import Checker

__all__ = ["Checker"]
