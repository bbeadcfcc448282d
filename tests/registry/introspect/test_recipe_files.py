"""Recipe files as people write them, and as enemies do."""

import json

import pytest

from modelhub.errors import InvalidInput
from modelhub.registry.introspect import Metadata, introspect
from modelhub.registry.introspect.recipes import (
    built_in,
    make_recipes,
    read_recipes,
    write_recipe,
)
from modelhub.registry.introspect.recipes.patterns import read_pattern

from .build import listing

GOOD = {
    "name": "odd",
    "source": {"address": "https://example.org/odd", "seen": "2026-11-28"},
    "match": [{"repositories": ["zoo/odd"]}],
    "models": [{"task": "depth-estimation", "components": {"model": "*.safetensors"}}],
}
YAML = b"""
name: odd
source: {address: "https://example.org/odd", seen: 2026-11-28}
match:
  - repositories: [zoo/odd]
models:
  - task: depth-estimation
    components: {model: "*.safetensors"}
"""


def changed(path, value):
    """A good recipe with another value at a path such as `models.0.task`."""
    recipe = json.loads(json.dumps(GOOD))
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    at = recipe
    for step in steps:
        at = at[step]
    at[last] = value
    return recipe


def refused(data, origin="mine.yaml"):
    read = read_recipes if isinstance(data, bytes) else make_recipes
    with pytest.raises(InvalidInput) as caught:
        read(data, origin)
    assert caught.value.message.startswith(f"{origin}: ")
    assert len(caught.value.message) < 2000
    assert "write-a-recipe" in caught.value.hint
    return caught.value.message.removeprefix(f"{origin}: ")


def test_yaml_json_and_a_value_say_the_same():
    expected = make_recipes(GOOD, "here")
    assert read_recipes(YAML, "a.yaml") == expected
    assert read_recipes(json.dumps(GOOD).encode(), "a.json") == expected
    assert make_recipes({"recipes": [GOOD]}, "here") == expected
    long = changed("models.0.components.model", {"files": ["*.safetensors"]})
    assert make_recipes(long, "here") == make_recipes(
        changed("models.0.components.model", ["*.safetensors"]), "here"
    )


def test_every_built_in_one_can_be_written_and_read_again():
    for recipe in built_in().recipes:
        assert read_recipes(write_recipe(recipe), "again.json") == (recipe,)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("name", "Odd Name", "recipe Odd Name: name: "),
        ("name", 7, "name: "),
        ("source.address", "http://example.org/", "recipe odd: source.address: "),
        ("source.seen", "yesterday", "recipe odd: source.seen: "),
        ("match", [], "recipe odd: match: "),
        ("match", {"files": ["a"]}, "recipe odd: match: "),
        ("match.0", {}, "recipe odd: match.0: must name repositories, files or sha256"),
        ("match.0", {"without": ["a"]}, "recipe odd: match.0: must name"),
        ("match.0.repositories", "zoo/odd", "recipe odd: match.0.repositories: "),
        ("match.0.repositories.0", "a/b/c", "recipe odd: match.0.repositories.0: must be vendor/name"),
        ("match.0.sha256", ["12ab"], "recipe odd: match.0.sha256.0: "),
        ("match.0.sha256", [1234], "recipe odd: match.0.sha256.0: "),
        ("match.0.files", ["../up"], "recipe odd: match.0.files.0: must be a path inside"),
        ("match.0.files", ["/etc/passwd"], "recipe odd: match.0.files.0: must be a path inside"),
        ("models.0.task", "cooking", "odd: models.0: 'cooking' is no task that modelhub knows; nearest"),
        ("models.0.subtask", "ocr", "models.0: 'depth-estimation with subtask ocr' is no task"),
        ("models.0.name", "{model}", "recipe odd: models.0: name has {model}, which not all"),
        ("models.0.name", "a b", "recipe odd: models.0.name: "),
        ("models.0.components", {}, "recipe odd: models.0.components: "),
        ("models.0.components.model", [], "recipe odd: models.0.components.model.files: "),
        ("models.0.components.model", 5, "recipe odd: models.0.components.model: "),
        ("models.0.components.model", {"files": ["a"], "precision": "q9"}, "precision: must be"),
        ("models.0.details", {"channel_order": "rbg"}, "recipe odd: models.0.details.channel_order: "),
        ("models.0.details", {"input_width": "640"}, "recipe odd: models.0.details.input_width: "),
        ("models.0.details", {"input_width": True}, "recipe odd: models.0.details.input_width: "),
        ("models.0.details", {"mean": [float("nan")]}, "recipe odd: "),
        ("models.0.details", {"labels": ["a\nb"]}, "recipe odd: models.0.details.labels.0: "),
        ("models.0.detials", {}, "recipe odd: models.0.detials: "),
        ("license", "mit", "recipe odd: license: "),
        ("warnings", [{"code": "No", "text": "t"}], "recipe odd: warnings.0.code: "),
    ],
)
def test_what_is_wrong_is_said_with_recipe_and_field(path, value, said):
    assert said in refused(changed(path, value))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "a recipe is an object, and not None"),
        (b"- 1", "a recipe is an object, and not a list of 1"),
        (b"\xff\xfe", "it is no plain YAML"),
        (b"a: [1", "it is no plain YAML"),
        (b"name: a\nname: b", "a key comes twice"),
        (b"!!python/object/apply:os.system [id]", "it is no plain YAML"),
        (b"a: &a [1]\nb: *a", "too deep, or too many aliases"),
        (b"a: &a {b: 1}\nc: {<<: *a}", "it is no plain YAML"),
        (b"[" * 100_000, "it is no plain YAML"),
        (b"{" * 5000, "it is no plain YAML"),
        (b"a: " + b"x" * 300_000, "at most 262,144 are read"),
        (b"recipes: []", "its recipes are no list of recipes"),
        (b"recipes: text", "its recipes are no list of recipes"),
        (b"recipes: [{}]\nmore: 1", "beside its list of recipes stands 'more'"),
        (b"1: 2\nname: odd", "1 stands where a name must"),
        (b"name: odd\nx: !!binary aGk=", "is no JSON value"),
        (b"recipes: [" + b"{}," * 300 + b"]", "it has 300 recipes"),
    ],
)
def test_files_that_are_none_are_refused(data, said):
    assert said in refused(data)


def test_aliases_that_multiply_are_refused_before_they_do():
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert "aliases" in refused(bomb.encode())
    assert "aliases" in refused(b"a: &a [*a]")


def test_two_of_one_name_in_one_file_are_refused():
    assert refused({"recipes": [GOOD, GOOD]}) == "two of its recipes are called 'odd'"


def test_a_value_without_an_end_is_refused():
    endless = changed("models.0.details", {})
    endless["models"][0]["details"] = endless
    assert "recipe odd: " in refused(endless)


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("model.bin", ["model.bin", "MODEL.BIN"], ["a/model.bin", "modelxbin"]),
        ("*.onnx", ["a.onnx", ".onnx"], ["a/b.onnx"]),
        ("**/a?.onnx", ["ab.onnx", "x/y/ab.onnx"], ["a.onnx", "a/.onnx"]),
        ("v/{a|b.c}.{pt|pth}", ["v/a.pt", "v/b.c.pth"], ["v/c.pt", "v/bxc.pt"]),
        ("(a+)+$", ["(a+)+$"], ["aaa"]),
    ],
)
def test_patterns(pattern, matches, others):
    assert all(read_pattern(pattern).match(path) is not None for path in matches)
    assert not any(read_pattern(pattern).match(path) for path in others)


def test_named_parts():
    assert read_pattern("{model}-{precision}.bin").match("a-b-Q5_0.bin") == {
        "model": "a-b",
        "precision": "q5_0",
    }
    assert read_pattern("{model}-{precision}.bin").match("large-v3.bin") is None
    assert read_pattern("x-{variant:a|b}.bin").match("x-b.bin") == {"variant": "b"}


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a" * 513,
        "a\n",
        "[ab]",
        "a\\b",
        "{",
        "a}b{",
        "{size}",
        "{model}{model}",
        "{a|}",
        "{precision:q9}",
        "a**/b",
        "{model:}",
        "*" * 17,
        "{model:a:b}",
    ],
)
def test_what_is_no_pattern(pattern):
    with pytest.raises(ValueError, match=r"\w"):
        read_pattern(pattern)


def test_no_pattern_takes_long():
    """Each of these takes an engine that backtracks longer than anybody waits."""
    name = "a" * 200 + "/" + "a" * 200
    for text in ("*a" * 16 + "b", "**/" * 7 + "{model}x", "{model}*{variant}*{precision}*b"):
        assert read_pattern(text).match(name) is None


def test_a_listing_without_end_is_looked_at_near_its_root(monkeypatch):
    from modelhub.registry.introspect.recipes import match

    monkeypatch.setattr(match, "MAX_FILES", 3)
    files = [f"deep/{n}/ggml-tiny.bin" for n in range(9)] + ["ggml-base.bin"]
    assert [m.name for m in introspect(listing(files), Metadata()).models] == ["base"]
