"""Licences as they are stated, and policies that refuse some."""

import pytest

from modelhub.errors import InvalidInput
from modelhub.facts import Component, Evidence, LicensePolicy, Model, RepoFile, Variant
from modelhub.facts.licenses import conflicts, license_rows, named
from modelhub.refs import RepoPath

CARD, TEXT, HEADER = 30, 80, 100


def row(value, trust=CARD, subject="repository"):
    return Evidence(subject=subject, key="license", value=value, evidence="somewhere", trust=trust)


def variant(name, path):
    file = RepoFile(path=RepoPath(path), size=1)
    part = Component(name="model", repo="a/b", commit=None, files=(file,))
    return Variant(name=name, format="gguf", components=(part,))


def model(name, *variants):
    return Model(name=name, task="text-generation", category="llm", variants=variants)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "refuse:license.noncommercial,license.conflict",
        "allow:apache-2.0,mit",
        "refuse:license.unknown;allow:mit;deny:agpl-3.0",
    ],
)
def test_a_policy_is_the_text_that_it_was_read_from(text):
    policy = LicensePolicy.parse(text)
    assert str(policy) == text
    assert bool(policy) == bool(text)
    assert LicensePolicy.parse(policy) is policy
    assert LicensePolicy.model_validate(policy.model_dump()) == policy
    assert LicensePolicy.parse(policy.model_dump()) == policy


def test_spaces_and_case_do_not_matter():
    policy = LicensePolicy.parse(" allow : Apache-2.0 , MIT ; deny:GPL-3.0-or-later; ")
    assert policy == LicensePolicy(allow=["apache-2.0", "mit"], deny="gpl-3.0")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("noncommercial", "no clause"),
        ("refuse:license.banana", "license.banana"),
        ("refuse:", "''"),
        ("allow:apache 2;allow:mit", "second"),
        ("allow:a/b", "a/b"),
        ("forbid:mit", "forbid"),
        (5, "5"),
    ],
)
def test_a_text_that_is_no_policy_is_refused(text, says):
    with pytest.raises(InvalidInput, match="license_policy") as caught:
        LicensePolicy.parse(text)
    assert caught.value.details["field"] == "license_policy"
    assert says in caught.value.message
    assert "allow:apache-2.0,mit" in caught.value.hint


def test_a_policy_made_by_hand_is_checked_too():
    for wrong in ({"refuse": ["license.x"]}, {"allow": 5}, {"deny": [None]}, {"forbid": "mit"}):
        with pytest.raises(InvalidInput, match="license_policy"):
            LicensePolicy(**wrong)


@pytest.mark.parametrize(
    ("text", "rows", "codes"),
    [
        ("", ["agpl-3.0"], set()),
        ("refuse:license.copyleft", ["mit"], set()),
        ("refuse:license.copyleft", ["AGPL-3.0"], {"license.copyleft"}),
        (
            "refuse:license.noncommercial",
            ["flux-1-dev-non-commercial-license"],
            {"license.noncommercial"},
        ),
        ("refuse:license.unknown", [], {"license.unknown"}),
        ("refuse:license.unknown", ["other"], {"license.unknown"}),
        ("refuse:license.unknown", ["tongyi-qianwen"], set()),
        ("refuse:license.conflict", ["mit", "apache-2.0"], {"license.conflict"}),
        ("allow:mit", [], {"license.not_allowed"}),
        ("allow:mit", ["MIT"], set()),
        ("allow:mit,apache-2.0", ["mit, apache-2.0"], set()),
        ("allow:mit", ["mit, apache-2.0"], {"license.not_allowed"}),
        ("deny:agpl-3.0", ["agpl-3.0-only"], {"license.denied"}),
        ("deny:gpl-3.0", ["gpl"], {"license.denied"}),
        ("deny:gpl-3.0", ["lgpl-3.0"], set()),
        ("deny:gpl", ["gpl-3.0"], {"license.denied"}),
        ("deny:openrail", ["creativeml-openrail-m"], {"license.denied"}),
        ("refuse:license.noncommercial", ["stability_non_commercial"], {"license.noncommercial"}),
    ],
)
def test_what_a_policy_refuses(text, rows, codes):
    objections = LicensePolicy.parse(text).objections([row(value) for value in rows])
    assert set(objections) == codes


@pytest.mark.parametrize(
    ("text", "rows", "codes"),
    [
        ("allow:llama3.1", [row("llama3.1"), row("other", HEADER)], set()),
        ("allow:qwen-research", [row("qwen-research"), row("other", TEXT)], set()),
        ("allow:apache-2.0", [row("apache"), row("apache-2.0", TEXT)], set()),
        ("allow:apache-2.0", [row("apache-2.0"), row("other", TEXT)], {"license.not_allowed"}),
        ("allow:mit", [row("other", TEXT)], {"license.not_allowed"}),
        ("allow:mit", [row("apache"), row("mit", TEXT)], {"license.not_allowed"}),
        ("refuse:license.conflict", [row("llama3.1"), row("other", HEADER)], set()),
    ],
)
def test_a_statement_that_says_less_than_another_is_passed_over(text, rows, codes):
    assert set(LicensePolicy.parse(text).objections(rows)) == codes


@pytest.mark.parametrize(
    ("rows", "disagree"),
    [
        ([], False),
        ([row("mit")], False),
        ([row("mit"), row("MIT", HEADER)], False),
        ([row("gpl-3.0-or-later"), row("gpl-3.0", TEXT)], False),
        ([row("gpl"), row("gpl-3.0", TEXT)], False),
        ([row("gpl-3.0"), row("gpl-2.0", TEXT)], True),
        ([row("mit"), row("mit, apache-2.0", TEXT)], True),
        ([row("apache-2.0, mit"), row("mit, apache-2.0", TEXT)], False),
        ([row("other"), row("llama3.1", TEXT)], False),
        ([row("tongyi-qianwen"), row("other", TEXT)], False),
        ([row("apache-2.0"), row("other", TEXT)], True),
        ([row("apache-2.0"), row("other", HEADER)], False),
    ],
)
def test_which_statements_disagree(rows, disagree):
    assert conflicts(rows) is disagree
    assert conflicts(rows[::-1]) is disagree


def test_statements_are_about_the_model_and_the_folder_that_they_name():
    rows = [
        row("mit"),
        row("agpl-3.0", HEADER, "model:big"),
        row("cc-by-nc-4.0", TEXT, "folder:q8"),
        Evidence(subject="repository", key="task", value="x", evidence="card", trust=30),
    ]
    small, large = variant("q4", "q4/m.gguf"), variant("q8", "q8/m.gguf")
    one, other = model("small", small, large), model("big-gguf", small)
    assert set(named(license_rows(rows, one, small))) == {"mit"}
    assert set(named(license_rows(rows, one, large))) == {"mit", "cc-by-nc-4.0"}
    assert set(named(license_rows(rows, other, small))) == {"mit", "agpl-3.0"}
    assert set(named(license_rows(rows, model("bigger", small), small))) == {"mit"}
    assert set(named(license_rows(rows))) == {"mit", "agpl-3.0", "cc-by-nc-4.0"}
