"""Recipes through a Hub: a repository that says nothing of itself, and what people add."""

import json
from importlib.metadata import EntryPoint

import pytest

from modelhub.errors import InvalidInput, NotFound, RepositoryNotFound
from modelhub.hub.doctor import examine
from modelhub.hub.recipe_book import RecipeBook
from modelhub.settings import Settings
from tests.formats.build import safetensors

SILENT = "zoo/silent"
MEGABYTE = 1 << 20
RECIPE = {
    "name": "silent",
    "source": {"address": "https://example.org/silent", "seen": "2026-11-28"},
    "match": [{"repositories": ["zoo/silent"]}],
    "license": {"name": "agpl-3.0", "address": "https://example.org/license"},
    "models": [
        {
            "task": "depth-estimation",
            "architecture": "silence",
            "components": {"model": "weights.safetensors", "labels": {"files": ["labels.txt"]}},
            "details": {"input_width": 320, "input_height": 240, "channel_order": "bgr"},
        }
    ],
}


@pytest.fixture
def repository(server, tmp_path):
    folder = tmp_path / "silent"
    folder.mkdir()
    header = {"w": {"dtype": "F16", "shape": [MEGABYTE // 2], "data_offsets": [0, MEGABYTE]}}
    (folder / "weights.safetensors").write_bytes(safetensors(json.dumps(header).encode(), MEGABYTE))
    (folder / "labels.txt").write_text("near\nfar\n")
    server.add(SILENT, folder)
    return folder


def only(report):
    (model,) = report.models
    return model


def test_a_recipe_that_was_added_describes_what_says_nothing(hub, server, repository):
    assert hub.inspect(SILENT).models == ()
    before = hub.recipes.digest
    (view,) = hub.recipes.add(RECIPE)
    assert (view.name, view.tasks, view.overrides) == ("silent", ("depth-estimation",), "")
    assert view.content["models"][0]["architecture"] == "silence"
    assert hub.recipes.digest != before
    assert hub.inspect(SILENT).models == ()
    server.reset_counts()
    report = hub.inspect(SILENT, refresh=True)
    model = only(report)
    assert (model.name, model.task, model.architecture) == ("silent", "depth-estimation", "silence")
    assert model.details == {
        "input_width": 320,
        "input_height": 240,
        "channel_order": "bgr",
        "tensor_bytes": {"weights.safetensors": MEGABYTE},
    }
    (variant,) = model.variants
    assert (variant.name, variant.precision, variant.parameters) == ("fp16", "fp16", MEGABYTE // 2)
    assert [warning.code for warning in report.warnings] == ["license.copyleft"]
    assert 0 < server.bytes_sent("weights.safetensors") < 128 << 10
    assert {file.path for file in hub.pull(SILENT).files} == {"weights.safetensors", "labels.txt"}
    (matched,) = hub.recipes.match(SILENT)
    assert (matched.name, matched.why) == ("silent", "repository: zoo/silent")
    hub.recipes.remove("silent")
    assert hub.recipes.digest == before
    assert hub.sync(SILENT).models == ()


def test_recipes_are_kept_and_shared_by_their_folder(hub, make_hub, repository):
    hub.recipes.add(RECIPE)
    other = make_hub()
    assert only(other.inspect(SILENT)).architecture == "silence"
    other.recipes.remove("silent")
    assert "silent" not in [view.name for view in hub.recipes]


def test_a_file_in_the_folder_is_a_recipe(hub, repository, tmp_path):
    folder = tmp_path / "home" / "recipes"
    folder.mkdir()
    (folder / "mine.yaml").write_text(json.dumps({"recipes": [RECIPE, RECIPE | {"name": "second"}]}))
    assert hub.recipes.get("second").origin == str(folder / "mine.yaml")
    with pytest.raises(InvalidInput, match=r"mine\.yaml has a recipe 'silent' already"):
        hub.recipes.add(RECIPE)
    with pytest.raises(InvalidInput, match="is not alone there"):
        hub.recipes.remove("silent")


def test_a_recipe_can_be_added_from_a_file_and_replaced(hub, tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(json.dumps(RECIPE))
    hub.recipes.add(path)
    hub.recipes.add(RECIPE | {"match": [{"files": ["other"]}]})
    assert hub.recipes.get("silent").content["match"] == [{"files": ["other"]}]


def test_ones_own_recipe_overrides_modelhubs_and_says_so(hub):
    built_in = hub.recipes.get("rife")
    assert (built_in.origin, built_in.overrides) == ("modelhub", "")
    (view,) = hub.recipes.add(RECIPE | {"name": "rife"})
    assert view.overrides == "modelhub"
    assert hub.recipes.get("rife").tasks == ("depth-estimation",)
    hub.recipes.remove("rife")
    assert hub.recipes.get("rife") == built_in


def test_what_cannot_be_is_refused_and_nothing_is_kept(hub, tmp_path):
    with pytest.raises(InvalidInput, match="recipe silent: match: "):
        hub.recipes.add(RECIPE | {"match": []})
    with pytest.raises(InvalidInput, match="second: models"):
        hub.recipes.add({"recipes": [RECIPE, RECIPE | {"name": "second", "models": 7}]})
    with pytest.raises(InvalidInput, match="not int"):
        hub.recipes.add(7)
    with pytest.raises(InvalidInput, match="cannot be read"):
        hub.recipes.add(tmp_path / "nowhere.yaml")
    with pytest.raises(NotFound, match="no recipe is called 'silent'"):
        hub.recipes.remove("silent")
    with pytest.raises(InvalidInput, match="it comes from modelhub"):
        hub.recipes.remove("rife")
    with pytest.raises(RepositoryNotFound):
        hub.recipes.match("zoo/nothing")
    assert not (tmp_path / "home" / "recipes").exists()


def test_a_folder_that_cannot_be_made_is_told(make_hub, tmp_path):
    (tmp_path / "file").write_text("")
    hub = make_hub(recipes=tmp_path / "file" / "recipes")
    with pytest.raises(InvalidInput, match="cannot be written") as caught:
        hub.recipes.add(RECIPE)
    assert "MODELHUB_RECIPES" in caught.value.hint


def test_a_broken_file_breaks_only_itself(hub, repository, tmp_path):
    hub.recipes.add(RECIPE)
    broken = tmp_path / "home" / "recipes" / "broken.yaml"
    broken.write_text("name: [")
    (tmp_path / "home" / "recipes" / "notes.txt").write_text("no recipe")
    (problem,) = hub.recipes.problems
    assert problem.origin == str(broken)
    assert "it is no plain YAML" in problem.text
    assert only(hub.inspect(SILENT)).architecture == "silence"
    (finding,) = [each for each in examine(hub.settings).findings if each.subject == "recipes"]
    assert (finding.ok, finding.text) == (False, problem.text)


def test_the_folder_is_a_setting(tmp_path):
    settings = Settings.from_env({"MODELHUB_RECIPES": str(tmp_path / "shared")}, home=tmp_path)
    assert settings.recipes == tmp_path / "shared"
    assert Settings.from_env({}, home=tmp_path).recipes == tmp_path / "recipes"


def giving():
    return {**RECIPE, "name": "called"}


def raising():
    raise RuntimeError("no recipes today")


LISTED = [{**RECIPE, "name": "listed"}]
WRONG = {"name": "wrong"}
RIFE = {**RECIPE, "name": "rife"}


def book(tmp_path, *attributes):
    points = [EntryPoint(each.lower(), f"{__name__}:{each}", "modelhub.recipes") for each in attributes]
    return RecipeBook(tmp_path / "recipes", lambda: points)


def test_plugins_give_recipes_by_a_function_or_as_data(tmp_path):
    names = [origin.recipe.name for origin in book(tmp_path, "giving", "LISTED").origins()]
    assert {"called", "listed", "rife"} <= set(names)


def test_a_plugin_gives_a_folder(tmp_path, monkeypatch):
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "a.json").write_text(json.dumps(RECIPE))
    monkeypatch.setitem(globals(), "SHIPPED", shipped)
    assert book(tmp_path, "SHIPPED").get("silent").provider == "unknown 0"


def test_a_broken_plugin_breaks_only_itself(tmp_path):
    found = book(tmp_path, "giving", "raising", "WRONG", "nothing")
    assert found.get("called").provider == "unknown 0"
    texts = " ".join(problem.text for problem in found.problems())
    assert "RuntimeError: no recipes today" in texts
    assert "wrong: recipe wrong: source: Field required" in texts
    assert "AttributeError" in texts
    assert len(found.problems()) == 3


def test_two_of_one_name_are_an_error_that_names_both(tmp_path):
    found = book(tmp_path, "RIFE")
    with pytest.raises(
        InvalidInput, match=r"several recipes are called 'rife'.* modelhub and unknown 0"
    ):
        found.get("rife")
    assert "rife" not in [recipe.name for recipe in found.current().recipes]
    (mine,) = found.add(RIFE)
    assert mine.overrides == "modelhub and unknown 0"
    assert found.problems() == ()


def test_two_of_ones_own_are_an_error_that_names_both(tmp_path):
    (tmp_path / "recipes").mkdir()
    for name in ("a.json", "b.json"):
        (tmp_path / "recipes" / name).write_text(json.dumps(RECIPE))
    with pytest.raises(InvalidInput, match=r"a\.json and .*b\.json"):
        book(tmp_path).get("silent")


def test_listing_plugins_imports_none_until_recipes_are_asked_for(tmp_path):
    asked = []

    def find():
        asked.append(1)
        return ()

    shelf = RecipeBook(tmp_path, find)
    assert asked == []
    shelf.current()
    shelf.current()
    assert asked == [1]
