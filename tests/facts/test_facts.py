from fractions import Fraction

import pytest
from pydantic import ValidationError, computed_field

from modelhub.errors import Cancelled, DeadlineExceeded, InvalidInput
from modelhub.facts import (
    Call,
    Component,
    Evidence,
    MemoryNeed,
    MemoryTier,
    Model,
    Progress,
    RepoFile,
    RepoId,
    RepoListing,
    Report,
    Token,
    Variant,
)
from modelhub.facts.base import Fact, human_bytes, table

COMMIT = "0" * 40


def report() -> Report:
    file = RepoFile(path="a-q8_0.gguf", size=3)
    part = Component(
        name="model", repo="v/a", commit=COMMIT, files=(file, file.model_copy(update={"size": 4}))
    )
    variant = Variant(name="q8_0", format="gguf", precision="q8_0", parameters=1234, components=(part,))
    model = Model(
        name="a", task="text-generation", category="llm", context_length=2048, variants=(variant,)
    )
    return Report(repo="v/a", source="huggingface", commit=COMMIT, models=(model,))


def test_bytes_are_sums_and_survive_json():
    known = report()
    assert known.models[0].variants[0].bytes == 7
    assert known.model_dump()["models"][0]["variants"][0]["bytes"] == 7
    assert Report.model_validate_json(known.model_dump_json()) == known
    assert Report.model_validate(known.model_dump()) == known


def test_a_report_prints_as_a_table_and_its_repr_is_one_line():
    text = str(report())
    assert "q8_0" in text
    assert "1,234" in text
    assert "context 2,048 tokens" in text
    assert "\n" not in repr(report())


def test_a_report_shows_what_disagrees_about_a_model():
    def said(key, value, evidence, trust):
        return Evidence(subject="model:a", key=key, value=value, evidence=evidence, trust=trust)

    rows = (
        said("task", "text-to-image", "card: pipeline_tag", 30),
        said("task", "text-generation", "config.json: architectures", 80),
        said("architecture", "llama", "config.json", 80),
        said("context_length", 1, "config.json", 80),
        said("context_length", 2, "card", 30),
    )
    assert str(report().model_copy(update={"facts": rows})).splitlines()[2:5] == [
        "a: text-generation, context 2,048 tokens",
        "task: text-generation (config.json: architectures), not text-to-image (card: pipeline_tag)",
        "variant  format  precision  parameters  size  components",
    ]


def test_what_a_listing_has_worked_out_is_in_no_copy_of_it():
    file = RepoFile(path="a.txt", size=1)
    listing = RepoListing(
        repo=RepoId(source="local", vendor="a", name="b"),
        commit="c" * 40,
        revision="main",
        files=(file,),
        source_uri="file:///b",
    )
    assert set(listing.by_path) == {"a.txt"}
    assert RepoListing(**dict(listing)) == listing
    other = listing.model_copy(update={"files": (RepoFile(path="b.txt", size=1),)})
    assert set(other.by_path) == {"b.txt"}


def test_a_fact_with_sums_says_so():
    with pytest.raises(TypeError, match="inherit SummedFact"):

        class Sum(Fact):
            @computed_field
            @property
            def total(self) -> int:
                return 3


def test_facts_are_frozen_and_refuse_unknown_fields():
    with pytest.raises(ValidationError):
        report().repo = "other"
    with pytest.raises(ValidationError):
        RepoFile(path="a", size=1, colour="red")


def test_a_listing_takes_no_unsafe_path_and_no_odd_commit():
    with pytest.raises(ValueError, match="unsafe file name"):
        RepoFile(path="../x", size=1)
    with pytest.raises(ValidationError):
        RepoFile(path="x", size=-1)
    with pytest.raises(ValidationError):
        RepoListing.model_validate(
            {
                "repo": {"source": "s", "vendor": "v", "name": "n"},
                "commit": "main",
                "revision": "main",
                "files": [],
                "source_uri": "",
            }
        )


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1_500_000, "1.5 MB"),
        (999_600_000, "1 GB"),
        (2_000 * 10**9, "2 TB"),
    ],
)
def test_bytes_for_people(count, shown):
    assert human_bytes(count) == shown


def test_a_table_without_rows_has_its_headers():
    assert table(("a", "b"), []) == "a  b"


@pytest.mark.parametrize(
    ("cell", "right"),
    [
        ("1,234,567", True),
        ("1.5 GB", True),
        ("756 kB – 2.64 MB", True),
        ("0123456789ab", False),
        ("2026-11-28 04:44", False),
        ("4bit", False),
    ],
)
def test_counts_and_sizes_stand_to_the_right_and_what_begins_like_them_to_the_left(cell, right):
    head, line, _ = table(("a long header", "b"), [(cell, "x"), ("", "y")]).splitlines()
    assert head.startswith("a long header".ljust(len(cell)) if not right or len(cell) < 13 else " ")
    assert line.startswith(cell.rjust(13) if right else cell.ljust(13))


def test_a_figure_that_is_no_sum_prints_as_none():
    assert str(MemoryNeed.whole(1_500_000_000, MemoryTier.SIZE)) == "1.5 GB, by the files' sizes"


def test_a_call_is_cancelled_or_late():
    call = Call()
    call.check()
    call.cancel()
    with pytest.raises(Cancelled):
        call.check()
    with pytest.raises(DeadlineExceeded):
        Call(timeout=1e-9).check()
    assert Call().remaining is None
    assert 0 < Call(timeout=Fraction(7, 2)).remaining <= 3.5


@pytest.mark.parametrize("timeout", ["5", b"5", True, [5], 1j, 0, -1, float("nan")])
def test_a_timeout_that_is_no_positive_number_is_named(timeout):
    with pytest.raises(InvalidInput, match="timeout") as caught:
        Call(timeout=timeout)
    assert caught.value.details["field"] == "timeout"
    assert repr(timeout) in caught.value.message


def test_one_token_cancels_many_calls():
    token = Token()
    calls = [Call(token=token), Call(token=token)]
    token.cancel()
    assert all(call.token.cancelled for call in calls)


def test_a_call_reports_progress():
    seen: list[Progress] = []
    Call(on_progress=seen.append).progress(3, 40, b"png")
    assert (seen[0].done, seen[0].total, seen[0].unit, seen[0].preview) == (3, 40, "steps", b"png")


def test_a_variant_without_some_of_its_components():
    parts = tuple(
        Component(name=name, repo="a/b", commit=None, files=()) for name in ("model", "projector")
    )
    variant = Variant(name="q8_0", format="gguf", components=parts)
    assert variant.without(["projector"]).components == parts[:1]
    assert variant.without(["vae"]) is variant
