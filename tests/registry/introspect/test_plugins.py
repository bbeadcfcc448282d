"""Introspectors of other distributions: found without an import, used without trust."""

import logging
import re
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from modelhub.errors import IntrospectorBroken
from modelhub.facts import Component, Evidence, Model, RepoWarning, Variant
from modelhub.refs import RepoPath
from modelhub.registry.introspect import (
    FAMILIES,
    FROM_CONFIG,
    Findings,
    Introspector,
    Introspectors,
    Metadata,
    files_wanted,
    find_introspectors,
    headers_wanted,
    introspect,
)
from modelhub.registry.introspect.guarded import Guarded

from .build import header, listing
from .found import codes, only_model

REPO = listing(["tiny.toy", "toy.txt", "m.gguf", "config.json"], "Tiny")


def toy(repo=REPO, files=("tiny.toy",), name="toy", task="text-classification", **facts):
    part = Component(
        name="model",
        repo=repo.repo.id,
        commit=repo.commit,
        files=tuple(repo.by_path[path] for path in files),
    )
    variants = facts.pop("variants", (Variant(name="toy", format="toy", components=(part,)),))
    return Model(name=name, task=task, category="llm", variants=variants, **facts)


class Toy(Introspector):
    name = "toy"

    def matches(self, listing):
        return "tiny.toy" in listing.by_path

    def files_wanted(self, listing):
        return (RepoPath("toy.txt"),)

    def headers_wanted(self, listing):
        return (RepoPath("m.gguf"),)

    def describe(self, listing, metadata):
        row = Evidence(
            subject="model:toy",
            key="task",
            value="text-classification",
            evidence="toy.txt",
            trust=FROM_CONFIG,
        )
        details = {"read": metadata.files.get("toy.txt", b"").decode()}
        return Findings((toy(listing, details=details),), (row,))


class Other(Toy):
    pass


class Nameless(Introspector):
    def matches(self, listing):
        return True

    def describe(self, listing, metadata):
        return Findings()


class Late(Toy):
    api_version = 2


def guarded(**methods):
    return Guarded(type("Made", (Toy,), methods)(), "The introspector 'toy' of toys 1")


def found_with(family, repo=REPO):
    return introspect(repo, Metadata({"toy.txt": b"hello"}), (family,))


# Among the families


def test_what_a_plugin_finds_is_found_like_anything_else():
    family = guarded()
    assert [file.path for file in files_wanted(REPO, (family,))] == ["toy.txt", "config.json"]
    assert headers_wanted(REPO, (family,)) == ("m.gguf",)
    found = found_with(family)
    assert only_model(found).details["read"] == "hello"
    assert codes(found) == []
    assert {row.key for row in found.evidence if row.subject == "model:toy"} == {"task"}


def test_a_repository_that_it_does_not_know_is_unknown_and_the_plugin_is_named():
    repo = listing(["x.y"], "Tiny")
    found = found_with(guarded(), repo)
    assert codes(found) == ["family.unknown"]
    assert "modelhub reads: toy, and" in found.warnings[0].text


def boom(*_):
    raise RuntimeError("boom")


def leave(*_):
    sys.exit(3)


FAULTS = {
    "matches raises": ({"matches": boom}, "failed: RuntimeError: boom"),
    "matches says maybe": ({"matches": lambda *_: None}, "neither true nor false"),
    "describe raises": ({"describe": boom}, "failed: RuntimeError: boom"),
    "describe leaves": ({"describe": leave}, "failed: SystemExit: 3"),
    "describe gives nothing": ({"describe": lambda *_: None}, "found 'NoneType'"),
    "files_wanted raises": ({"files_wanted": boom}, "failed: RuntimeError"),
    "a list of files": ({"files_wanted": lambda *_: ["toy.txt"]}, "something else than a tuple"),
    "a file of nobody": ({"files_wanted": lambda *_: (RepoPath("no"),)}, "no file of the repository"),
    "too many files": ({"files_wanted": lambda *_: (RepoPath("toy.txt"),) * 65}, "at most 64"),
    "a header of a text": (
        {"headers_wanted": lambda *_: (RepoPath("toy.txt"),)},
        "none that can be read",
    ),
}


@pytest.mark.parametrize(("methods", "problem"), FAULTS.values(), ids=FAULTS)
def test_a_plugin_that_fails_costs_only_what_it_would_have_found(methods, problem):
    headers = dict.fromkeys(["m.gguf"], header())
    found = introspect(REPO, Metadata(headers=headers), (*FAMILIES, guarded(**methods)))
    assert [model.variants[0].format for model in found.models] == ["gguf"]
    text = next(warning.text for warning in found.warnings if warning.code == "family.broken")
    assert "introspector 'toy' of toys 1" in text
    assert problem in text
    assert headers_wanted(REPO, (guarded(**methods),)) in ((), ("m.gguf",))


def test_where_no_other_knows_it_the_repository_is_unknown_too():
    assert codes(found_with(guarded(describe=boom))) == ["family.broken", "family.unknown"]


def test_what_a_plugin_raises_is_logged(caplog):
    with caplog.at_level(logging.WARNING, "modelhub.registry.introspect.guarded"):
        found_with(guarded(describe=boom))
    (record,) = [row for row in caplog.records if row.message == "introspector_failed"]
    assert (record.introspector, record.model_repo_name) == ("toy", "zoo/Tiny")
    assert "boom" in str(record.exc_info[1])


ROW = Evidence(subject="a", key="b", value="c", evidence="d", trust=1)
FOREIGN = REPO.files[0].model_copy(update={"size": 10**9})
BELIEVED_NOT = {
    "no tuple": (Findings(models=[toy()]), "no tuple of Model"),
    "no model": (Findings(models=(ROW,)), "no tuple of Model"),
    "two of one name": (Findings((toy(), toy())), "two models 'toy'"),
    "a name that no tag spells": (Findings((toy(name="A b"),)), "no reference can spell"),
    "a task of its own": (Findings((toy(task="cooking"),)), "does not know"),
    "no variants": (Findings((toy(variants=()),)), "0 variants"),
    "two variants of one name": (Findings((toy(variants=toy().variants * 2),)), "names two variants"),
    "many variants": (Findings((toy(variants=toy().variants * 65),)), "65 variants"),
    "many models": (Findings(tuple(toy(name=f"m{n}") for n in range(257))), "257 models"),
    "many rows": (Findings(evidence=(ROW,) * 1001), "1,001 evidence"),
    "a trust beyond all": (
        Findings(evidence=(ROW.model_copy(update={"trust": 1000}),)),
        "an? Evidence that is none",
    ),
    "details that are no JSON": (
        Findings((toy().model_copy(update={"details": {"x": object()}}),)),
        "a Model that is none",
    ),
    "half a character": (Findings(evidence=(ROW.model_copy(update={"value": "\ud800"}),)), "Evidence"),
    "more than can be counted": (Findings((toy(parameters=1 << 60),)), "as parameters"),
    "less than nothing": (Findings((toy(context_length=-1),)), "as context_length"),
    "a long architecture": (Findings((toy(architecture="x" * 201),)), "no name of at most 200"),
    "an architecture of two lines": (Findings((toy(architecture="a\nb"),)), "no name of at most"),
    "a license that is no text": (
        Findings(evidence=(ROW.model_copy(update={"key": "license", "value": [1, []]}),)),
        "the license",
    ),
    "a long statement": (Findings(evidence=(ROW.model_copy(update={"evidence": "x" * 2001}),)), "2,000"),
    "an odd warning": (Findings(warnings=(RepoWarning(code="Big Code", text="x"),)), "'Big Code'"),
    "a long warning": (Findings(warnings=(RepoWarning(code="toy", text="x" * 2001),)), "2,000"),
    "a file of another size": (
        Findings(
            (
                toy(
                    variants=(
                        Variant(
                            name="x",
                            format="toy",
                            components=(
                                toy().variants[0].components[0].model_copy(update={"files": (FOREIGN,)}),
                            ),
                        ),
                    )
                ),
            )
        ),
        "not as the repository lists it",
    ),
}


@pytest.mark.parametrize(("findings", "problem"), BELIEVED_NOT.values(), ids=BELIEVED_NOT)
def test_findings_that_cannot_be_believed_are_left_out(findings, problem):
    found = found_with(guarded(describe=lambda *_: findings))
    assert found.models == ()
    (text,) = [warning.text for warning in found.warnings if warning.code == "family.broken"]
    assert re.search(problem, text)


@pytest.mark.parametrize(
    "details",
    [
        {"heads": "x", "layers": [], "kv_heads": {"a": 1}, "key_length": None},
        {"layers": -1, "heads": -5, "embedding_length": 1e300, "sliding_window": True},
        {"chat_template": 5, "pooling": [], "quantization": {}, "graphs": 5, "components": []},
    ],
)
def test_odd_details_and_statements_hurt_nobody(details):
    rows = tuple(
        Evidence(subject=subject, key=key, value=value, evidence="toy", trust=80)
        for subject in ("repository", "model:toy", "", "\x07")
        for key in ("licenses", "task", "base_model", "architecture")
        for value in (None, 5, [1, ["x"]], {"a": None}, "x" * 5000)
    )
    found = found_with(guarded(describe=lambda *_: Findings((toy(details=details),), rows)))
    assert only_model(found).details.items() >= details.items()


# Which there are


def point(name="toy", value=f"{__name__}:Toy", distribution="toys", version="1"):
    made = EntryPoint(name, value, "modelhub.introspectors")
    vars(made).update(dist=SimpleNamespace(name=distribution, version=version))
    return made


def having(*points):
    return Introspectors([family.name for family in FAMILIES], find=lambda: points)


def test_listing_imports_none():
    plugins = having(point(value="no_such_module:Toy"))
    assert [entry.provider for entry in plugins.installed()] == ["toys 1"]
    assert plugins.digest()


def test_those_of_this_environment_are_no_surprise():
    assert {family.name for family in FAMILIES}.isdisjoint(
        e.name for e in find_introspectors().installed()
    )


def test_the_mark_changes_with_what_is_installed():
    marks = [
        having().digest(),
        having(point()).digest(),
        having(point(version="2")).digest(),
        having(point(value=f"{__name__}:Other")).digest(),
        having(point(), point("late")).digest(),
    ]
    assert marks[0] == ""
    assert len(set(marks)) == 5
    assert having(point("late"), point()).digest() == having(point(), point("late")).digest()


def test_a_plugin_is_loaded_by_its_name_and_made_once():
    plugins = having(point())
    assert isinstance(plugins.load("toy"), Toy)
    assert plugins.families() is plugins.families()
    assert (plugins.problems(), [family.name for family in plugins.families()]) == ((), ["toy"])


BAD = {
    "no module": ([point(value="no_such_module:Toy")], "cannot be imported: ModuleNotFoundError"),
    "no class": ([point(value=f"{__name__}:NoToy")], "cannot be imported: AttributeError"),
    "no introspector": ([point(value="pathlib:Path")], "is not a subclass"),
    "another name": ([point("toe")], "calls itself 'toy', and its entry point 'toe'"),
    "no name": ([point(value=f"{__name__}:Nameless")], "calls itself None"),
    "of another time": ([point(value=f"{__name__}:Late")], "api_version 2, and this modelhub speaks 1"),
    "abstract": (
        [point("x", "modelhub.registry.introspect:Introspector")],
        "cannot be imported: TypeError",
    ),
    "two": (
        [point(), point(distribution="others", value=f"{__name__}:Other")],
        "others 1 and toys 1",
    ),
    "one of modelhub's": ([point("gguf")], "modelhub itself and toys 1"),
}


@pytest.mark.parametrize(("points", "problem"), BAD.values(), ids=BAD)
def test_one_that_cannot_be_had_says_so_on_every_repository(points, problem):
    plugins = having(*points)
    with pytest.raises(IntrospectorBroken, match=problem) as caught:
        plugins.load(points[0].name)
    assert "pip uninstall" in caught.value.hint
    assert [error.message for error in plugins.problems()] == [caught.value.message]
    found = introspect(REPO, Metadata(), (*FAMILIES, *plugins.families()))
    (text,) = [warning.text for warning in found.warnings if warning.code == "family.broken"]
    assert caught.value.message in text


def test_one_that_is_broken_leaves_the_others():
    plugins = having(point(), point("toe"))
    found = introspect(REPO, Metadata(), plugins.families())
    assert only_model(found).name == "toy"
    assert "family.broken" in codes(found)
    assert "family.unknown" not in codes(found)


def test_a_name_that_nobody_has():
    with pytest.raises(IntrospectorBroken) as caught:
        having(point()).load("toe")
    assert caught.value.hint == "Installed are: toy."
