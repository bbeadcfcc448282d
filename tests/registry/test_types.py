"""What the column types make of values, without a database."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from sqlalchemy.dialects import postgresql, sqlite

from modelhub.registry.types import Json, Text, Utc, Wide
from tests.registry import facts

DIALECTS = (sqlite.dialect(), postgresql.dialect())


def stored(kind, value):
    one, other = (kind.process_bind_param(value, dialect) for dialect in DIALECTS)
    assert repr(one) == repr(other)
    return one


def loaded(kind, value):
    return kind.process_result_value(value, DIALECTS[0])


@given(facts.text)
def test_text_is_storable_and_comes_back(text):
    kept = stored(Text(), text)
    assert "\0" not in kept
    kept.encode()  # no half surrogates
    assert loaded(Text(), kept) == text


@given(facts.text, facts.text)
def test_different_texts_stay_different(one, other):
    assert (stored(Text(), one) == stored(Text(), other)) == (one == other)


def test_plain_text_is_stored_as_it_is():
    assert stored(Text(), "Qwen/Qwen3 漢 \n") == "Qwen/Qwen3 漢 \n"


def same(one, other):
    """Equal, and of the same types: JSON tells 1 from 1.0, Python does not."""
    return repr(one) == repr(other)


@given(facts.json)
def test_json_comes_back_with_its_types(value):
    assert same(loaded(Json(), stored(Json(), value)), value)


@pytest.mark.parametrize("value", [0.5, 1e-05, -1.0, 3, True, None, "x", {"a": [1]}])
def test_ordinary_json_is_stored_as_it_is(value):
    assert same(stored(Json(), value), value)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), 1e16, -1e300, 1 << 63, -(1 << 63) - 1])
def test_numbers_that_json_columns_would_change_are_marked(value):
    assert isinstance(stored(Json(), value), str)
    assert same(loaded(Json(), stored(Json(), value)), value)


def test_nan_survives():
    assert repr(loaded(Json(), stored(Json(), [float("nan")]))) == "[nan]"


def test_moments_are_utc_and_never_without_zone():
    there = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert stored(Utc(), there) == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert loaded(Utc(), datetime(2026, 7, 1, 10)).tzinfo is UTC  # noqa: DTZ001 - as SQLite gives it
    assert loaded(Utc(), there).tzinfo is UTC
    with pytest.raises(ValueError, match="without a zone"):
        stored(Utc(), datetime(2026, 7, 1))  # noqa: DTZ001


def test_wide_integers():
    assert loaded(Wide(), stored(Wide(), 1 << 127)) == 1 << 127
