"""The command line: each command is one call of a Hub, printed."""

from modelhub.cli.app import main

__all__ = ["main"]
