"""`modelhub recipes`: a list on standard output, what cannot be read beside it."""

import json

import pytest

from tests.cli.conftest import MODEL

RECIPE = {
    "name": "chatty",
    "source": {"address": "https://example.org/chatty", "seen": "2026-11-28"},
    "match": [{"repositories": [MODEL]}],
    "models": [{"task": "text-generation", "components": {"model": "*.gguf"}}],
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "chatty.yaml"
    path.write_text(json.dumps(RECIPE))
    return str(path)


def test_a_recipe_comes_matches_and_goes(run, file):
    assert run("sync", MODEL)[0] == 0
    status, out, err = run("recipes", "add", file)
    assert (status, err) == (0, "")
    assert out.splitlines()[1].startswith("chatty")
    assert json.loads(run("recipes", "show", "chatty")[1])["match"] == [{"repositories": [MODEL]}]
    status, out, _ = run("recipes", "match", MODEL)
    assert (status, out.splitlines()[1].split()[0]) == (0, "chatty")
    assert run("recipes", "remove", "chatty") == (0, "", "")
    assert run("recipes", "match", MODEL) == (0, "", "none\n")


def test_the_list_says_where_each_is_from(run):
    listed = {each["name"]: each for each in json.loads(run("recipes", "--json")[1])}
    assert listed["yunet"]["origin"] == "modelhub"
    assert listed["yunet"]["tasks"] == ["face-detection"]
    _, out, _ = run("recipes")
    assert any(line.startswith("whisper-ggml") for line in out.splitlines())


def test_one_that_stands_in_for_another_says_so(run, file, home, tmp_path):
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps(RECIPE | {"name": "yunet"}))
    run("recipes", "add", str(mine))
    lines = run("recipes")[1].splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("yunet"))
    assert lines[at + 1].strip() == "in place of that of modelhub"
    assert run("recipes", "remove", "yunet")[0] == 0


def test_what_is_broken_is_told_beside_the_others(run, home):
    broken = home / "recipes" / "broken.yaml"
    broken.parent.mkdir(exist_ok=True)
    broken.write_text("name: [")
    status, out, err = run("recipes")
    broken.unlink()
    assert status == 0
    assert "whisper-ggml" in out
    assert f"error: {broken}: it is no plain YAML" in err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("show", "nothing"), 1, "no recipe is called 'nothing'"),
        (("remove", "yunet"), 1, "it comes from modelhub"),
        (("add", "nowhere.yaml"), 1, "cannot be read"),
        (("add",), 2, "Usage"),
    ],
)
def test_what_goes_wrong(run, arguments, status, said):
    ended, _, err = run("recipes", *arguments)
    assert ended == status
    assert said in err
