"""Sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import InvalidInput
from modelhub.facts.base import human_bytes, parse_bytes

WRITTEN = {
    "0": 0,
    "1000": 1000,
    "5B": 5,
    "8GB": 8_000_000_000,
    " 8 gb ": 8_000_000_000,
    "500m": 500_000_000,
    "1.5 TB": 1_500_000_000_000,
    "0.1kB": 100,
    "16GiB": 16 << 30,
    "1Ki": 1024,
}


@pytest.mark.parametrize(("text", "size"), WRITTEN.items())
def test_sizes_are_read(text, size):
    assert parse_bytes(text, "max_bytes") == size


@pytest.mark.parametrize(
    "text", ["", "GB", "-1", "1e9", "8 PB", "8iB", "1,5GB", "٣GB", "9" * 5000, "1GB2"]
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InvalidInput, match="is no size") as caught:
        parse_bytes(text, "max_bytes")
    assert caught.value.details["field"] == "max_bytes"


@given(st.integers(0, 10**15))
def test_what_is_printed_is_read_back_as_nearly_as_it_is_printed(size):
    assert parse_bytes(human_bytes(size), "x") == pytest.approx(size, rel=0.006)
