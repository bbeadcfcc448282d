"""A registry on either database."""

from collections.abc import Iterator

import pytest

from modelhub.registry import Registry


@pytest.fixture
def registry(database_url: str) -> Iterator[Registry]:
    opened = Registry.open(database_url)
    yield opened
    opened.close()
