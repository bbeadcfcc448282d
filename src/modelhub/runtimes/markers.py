"""Tells pytest of the markers that the contract's tests carry. An entry point of the group `pytest11`;
it is imported in every run of pytest where modelhub is installed, and does nothing else.
"""

from typing import Any


def pytest_configure(config: Any) -> None:
    """Called by pytest at its start."""
    config.addinivalue_line("markers", "modelhub_rule: a rule of modelhub's runtime contract")
