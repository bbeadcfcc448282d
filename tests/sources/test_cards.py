"""Cards written by people, by accident and by enemies."""

import json
import logging
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from modelhub.facts import JsonDict
from modelhub.sources.cards import card_facts, clean_card, clean_tags, front_matter, license_name


def read(yaml):
    return front_matter(f"---\n{yaml}\n---\n# Title\n", "zoo/x")


def test_front_matter():
    card = read("license: mit\nlanguage:\n- en\n- de\nbase_model: a/b\nwidget:\n- text: Hi")
    assert card == {
        "license": "mit",
        "language": ["en", "de"],
        "base_model": "a/b",
        "widget": [{"text": "Hi"}],
    }


@pytest.mark.parametrize(
    "readme",
    [
        "",
        "# Title",
        "---",
        "---\nlicense: mit\n",
        " ---\nlicense: mit\n---\n",
        "---\n---\n",
        "---\n- a\n---\n",
    ],
)
def test_no_front_matter(readme):
    assert front_matter(readme, "zoo/x") == {}


def test_byte_order_mark_and_windows_lines():
    assert front_matter("\ufeff---\r\nlicense: mit\r\n---\r\n", "zoo/x") == {"license": "mit"}


def test_values_that_are_no_json():
    card = read(
        "date: 2024-05-01\ntime: 2024-05-01 12:00:00\nnan: .nan\ninf: .inf\nset: !!set {b, a}\n1: one"
    )
    assert card == {
        "date": "2024-05-01",
        "time": "2024-05-01T12:00:00",
        "nan": None,
        "inf": None,
        "set": ["a", "b"],
        "1": "one",
    }


def test_results_are_left_out():
    yaml = "license: mit\nmodel-index:\n- name: x\n  results:\n  - a: 1\n# note\ntags:\n- z"
    assert read(yaml) == {"license": "mit", "tags": ["z"]}
    results = "\n".join(f"  - value: {n}" for n in range(20_000))
    assert read(f"license: mit\nmodel-index:\n{results}\ntags: z") == {"license": "mit", "tags": "z"}
    assert clean_card({"model-index": [{}], "license": "mit"}, "zoo/x") == {"license": "mit"}


LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 2)}]\n" for n in range(1, 8)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30)
)


@pytest.mark.parametrize(
    "yaml",
    [
        "[" * 60_000,
        "a: " + "[" * 33 + "]" * 33,
        "a: &a [*a]\n" * 20,
        MERGES,
        "a: !!python/object/apply:os.system [id]",
        "a: " + "9" * 5000,
        "? [a]\n: b",
        "a: b\n" * 20_000,
        "- " * 20_000,
        "x: *unknown",
        "\x07",
        "a: 2024-99-99",
    ],
    ids=[
        "deep",
        "33",
        "aliases",
        "merges",
        "python",
        "int",
        "key",
        "long",
        "dashes",
        "anchor",
        "bell",
        "date",
    ],
)
def test_hostile_yaml_is_left_out(yaml, caplog):
    started = time.process_time()
    with caplog.at_level(logging.WARNING):
        assert read(yaml) == {}
    assert time.process_time() - started < 5  # liveness; each of these could take for ever
    assert "left out" in caplog.text


def test_aliases_that_multiply_are_cut(caplog):
    card = read("license: mit\n" + LAUGHS)
    assert card["license"] == "mit"
    assert len(json.dumps(card)) < 300_000


def test_a_card_that_contains_itself(caplog):
    card = {"license": "mit", "me": []}
    card["me"].append(card["me"])
    assert clean_card(card, "zoo/x") == {"license": "mit"}
    assert "'me' is too large" in caplog.text


def test_a_large_field_is_left_out_and_small_ones_after_it_are_not(caplog):
    card = clean_card({"a": "x", "big": "y" * 300_000, "license": "mit"}, "zoo/x")
    assert card == {"a": "x", "license": "mit"}
    assert "'big' is too large" in caplog.text


def test_texts_that_databases_refuse():
    assert clean_card({"a\0": "b\0\ud800"}, "zoo/x") == {"a\ufffd": "b\ufffd?"}


def test_large_numbers():
    card = clean_card({"a": 1 << 62, "b": 1 << 64, "c": 1 << 5000, "d": b"x", "e": object()}, "zoo/x")
    assert card == {"a": 1 << 62, "b": float(1 << 64), "c": None, "d": None, "e": None}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_any_card_becomes_json(card):
    clean = clean_card(card, "zoo/x")
    TypeAdapter(JsonDict).validate_python(clean)
    text = json.dumps(clean, allow_nan=False, ensure_ascii=False).encode()
    assert json.loads(text) == clean
    assert b"\\u0000" not in text


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_yaml_is_read_or_left_out(text):
    card = read(text)
    assert isinstance(card, dict)
    assert all(not isinstance(value, float) or math.isfinite(value) for value in card.values())


def test_tags():
    assert clean_tags(["a", "b", "a", " ", 1, None, "x" * 300, " c "]) == ("a", "b", "c")
    assert clean_tags("one") == ("one",)
    assert clean_tags(None) == clean_tags(5) == ()
    assert len(clean_tags(str(n) for n in range(5000))) == 1000


@pytest.mark.parametrize(
    ("card", "tags", "name"),
    [
        ({"license": "mit"}, (), "mit"),
        ({"license": ["mit", "apache-2.0"]}, (), "mit, apache-2.0"),
        ({"license": "other", "license_name": "qwen"}, (), "qwen"),
        ({"license": "other"}, (), "other"),
        ({}, ("x", "license:mit"), "mit"),
        ({"license": "mit"}, ("license:gpl",), "mit"),
        ({"license": 3}, (), None),
        ({}, (), None),
    ],
)
def test_license(card, tags, name):
    assert license_name(card, tags) == name


def test_facts():
    facts = card_facts(
        {"tags": "a", "pipeline_tag": ["x"], "library_name": "diffusers", "license": "mit"}
    )
    assert facts == (("a",), None, "diffusers", "mit")
