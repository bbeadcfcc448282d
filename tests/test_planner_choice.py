"""Which variant a plan takes, what it says of the others, and what it costs: pure values."""

from typing import Any

import pytest

from modelhub.errors import AmbiguousReference
from modelhub.facts import Component, Model, PassedBy, Plan, RepoFile, Report, Variant
from modelhub.planner import Blocked, Preferences, Room, Wish, candidates, make_plan
from modelhub.refs import Digest, RepoPath
from tests.test_planner import COMMIT, CPU, ENGINE, GB, model, offers, report, variant

FOUR = report(
    model(
        variant("fp16", 20 * GB),
        variant("q8_0", 5 * GB),
        variant("q5_k_m", 3 * GB),
        variant("q4_k_m", 2 * GB),
    )
)


def plan(known: Report, wish: Wish = Wish(), **given: Any) -> Plan:  # noqa: B008 - frozen
    views = given.pop("views", (ENGINE,))
    present = given.pop("present", frozenset()).__contains__
    return make_plan(known, wish, offers(known, *views), CPU, present, **given)


def in_format(one: Variant, kind: str) -> Variant:
    return one.model_copy(update={"name": f"{kind}-{one.name}", "format": kind})


def reasons(chosen: Plan) -> list[tuple[str, str]]:
    return [(each.variant, each.reason) for each in chosen.passed]


class TestPassed:
    def test_each_better_one_has_its_reason_in_the_order_of_quality(self) -> None:
        shy = ENGINE.model_copy(update={"name": "shy", "usable": False, "reason": "lacks torch"})
        known = report(
            model(
                variant("fp32", 40 * GB),
                in_format(variant("bf16", 4 * GB), "safetensors"),
                variant("fp16", 3 * GB),
                variant("q8_0", 5 * GB),
            )
        )
        everything = offers(known, ENGINE, shy)
        some = [
            offer
            for offer in everything
            if (offer.variant.format == "safetensors") == (offer.runtime.name == "shy")
        ]
        chosen = make_plan(
            known,
            Wish(),
            some,
            CPU,
            frozenset().__contains__,
            blocked={"fp16": Blocked(PassedBy.LICENSE, "is refused: license.copyleft")},
        )
        assert chosen.variant == "q8_0"
        assert reasons(chosen) == [
            ("fp32", "does_not_fit"),
            ("safetensors-bf16", "no_runtime"),
            ("fp16", "license"),
        ]
        assert (chosen.passed[0].needed, chosen.passed[0].free) == (40 * GB, 8 * GB)
        assert [each.text for each in chosen.passed] == [
            "fp32 would need 40 GB of 8 GB free",
            "safetensors-bf16 has no runtime here (shy lacks torch)",
            "fp16 is refused: license.copyleft",
        ]
        assert list(chosen.why[:3]) == [each.text for each in chosen.passed]

    def test_one_that_no_runtime_reads(self) -> None:
        known = report(model(variant("fp16", GB), variant("q8_0", GB)))
        some = [
            offer if offer.variant.name == "q8_0" else type(offer)(
                offer.runtime, offer.model, offer.variant, offer.device, ok=False, need=offer.need, reason="no"
            )
            for offer in offers(known, ENGINE)
        ]  # fmt: skip
        chosen = make_plan(known, Wish(), some, CPU, frozenset().__contains__)
        assert reasons(chosen) == [("fp16", "no_runtime")]
        assert chosen.why[0] == "fp16 has no runtime (engine: no)"

    def test_what_is_blocked_is_taken_when_there_is_nothing_else(self) -> None:
        every = dict.fromkeys(("fp16", "q8_0", "q5_k_m", "q4_k_m"), Blocked(PassedBy.NEEDS_CODE, "no"))
        assert plan(FOUR, blocked=every).variant == "q8_0"
        every.pop("q4_k_m")
        assert plan(FOUR, blocked=every).variant == "q4_k_m"


class TestPreferences:
    @pytest.mark.parametrize(
        ("preferences", "variant", "said"),
        [
            ({}, "q8_0", ""),
            ({"precision": "q4_k_m"}, "q4_k_m", "preferred_precision q4_k_m"),
            ({"precision": "fp16"}, "q8_0", ""),
            ({"precisions": ("q4_k_m", "q5_k_m")}, "q4_k_m", "quantization_targets q4_k_m, q5_k_m"),
            ({"precisions": ("fp16", "q5_k_m")}, "q5_k_m", "quantization_targets fp16, q5_k_m"),
            ({"precisions": ("fp16", "iq2_xs")}, "q8_0", ""),
            ({"precision": "q5_k_m", "precisions": ("q4_k_m",)}, "q5_k_m", "preferred_precision"),
            ({"format": "onnx"}, "q8_0", ""),
        ],
    )
    def test_what_is_wished_for_comes_first_if_it_fits(
        self, preferences: dict[str, Any], variant: str, said: str
    ) -> None:
        chosen = plan(FOUR, preferences=Preferences(**preferences))
        assert chosen.variant == variant
        over = [each for each in chosen.passed if each.reason == "not_preferred"]
        assert bool(over) == bool(said)
        assert all(said in each.text for each in over)
        assert ("was preferred at registration" in chosen.why[-1]) == bool(said)

    def test_a_format_comes_before_a_precision(self) -> None:
        known = report(
            model(variant("q8_0", GB), *(in_format(variant(p, GB), "onnx") for p in ("fp16", "int8")))
        )
        wished = Preferences(format="onnx", precision="q8_0")
        assert plan(known, preferences=wished).variant == "onnx-fp16"
        assert plan(known, preferences=Preferences(format="gguf")).variant == "q8_0"

    @pytest.mark.parametrize("wish", [Wish(tags=("q8_0",)), Wish(variant="q8_0")])
    def test_what_a_caller_names_comes_before_all_of_it(self, wish: Wish) -> None:
        chosen = plan(FOUR, wish, preferences=Preferences(precision="q4_k_m"))
        assert (chosen.variant, chosen.passed) == ("q8_0", ())
        assert "was asked for" in chosen.why[-1]

    def test_one_that_does_not_fit_is_told_and_not_taken(self) -> None:
        chosen = plan(FOUR, preferences=Preferences(precisions=("fp16", "q4_k_m")))
        assert chosen.variant == "q4_k_m"
        assert reasons(chosen) == [
            ("fp16", "does_not_fit"),
            ("q8_0", "not_preferred"),
            ("q5_k_m", "not_preferred"),
        ]

    def test_a_hint_decides_between_tasks_and_not_between_models(self) -> None:
        words = model(variant("q8_0", GB), name="words")
        boxes = model(variant("fp16", GB), name="boxes", task="object-detection")
        both = report(words, boxes)
        with pytest.raises(AmbiguousReference):
            candidates(both, Wish())
        for hints, name in (
            (("object-detection",), "boxes"),
            (("text-to-image", "text-generation"), "words"),
        ):
            assert {m.name for m, _ in candidates(both, Wish(), hints)} == {name}
        assert {m.name for m, _ in candidates(both, Wish(tags=("boxes",)), ("text-generation",))} == {
            "boxes"
        }
        two = report(words, model(variant("q8_0", GB), name="others"))
        with pytest.raises(AmbiguousReference):
            candidates(two, Wish(), ("text-generation",))


def file(path: str, size: int) -> RepoFile:
    return RepoFile(path=RepoPath(path), size=size, sha256=Digest.of(path.encode()))


class TestCosts:
    def pipeline(self) -> Report:
        parts = (
            Component(
                name="vae", repo="a/b", commit=COMMIT, files=(file("vae/v.safetensors", 500_000),)
            ),
            Component(
                name="text_encoder",
                repo="c/d",
                commit=COMMIT,
                files=(file("t1.safetensors", 300_000), file("t2.safetensors", 200_000)),
            ),
        )
        one = Variant(name="fp16", format="gguf", precision="fp16", components=parts)
        return report(Model(name="b", task="text-generation", category="llm", variants=(one,)))

    def test_by_component_and_repository(self) -> None:
        known, card = self.pipeline(), file("README.md", 1000)
        here = known.models[0].variants[0].components[1].files[0].sha256
        chosen = plan(known, companions=[card], present=frozenset({here}))
        assert [tuple(each.model_dump().values()) for each in chosen.parts] == [
            ("vae", "a/b", 500_000, 500_000, 0),
            ("text_encoder", "c/d", 500_000, 200_000, 300_000),
            ("metadata", "a/b", 1000, 1000, 0),
        ]
        assert sum(part.fetch_bytes for part in chosen.parts) == chosen.fetch_bytes == 701_000
        assert sum(part.reuse_bytes for part in chosen.parts) == chosen.reuse_bytes == 300_000
        assert "text_encoder  500 kB  200 kB  300 kB  c/d" in str(chosen)
        assert "t2.safetensors" in chosen.file_table()
        assert chosen.model_validate_json(chosen.model_dump_json()) == chosen

    def test_the_same_content_under_two_paths_comes_once(self) -> None:
        """Two configurations that are the same file, and a tokenizer that two encoders share."""
        once = file("a/vocab.json", 300_000)
        again = once.model_copy(update={"path": RepoPath("b/vocab.json")})
        unknown = file("c.bin", 5000).model_copy(update={"sha256": None})
        parts = (
            Component(name="first", repo="a/b", commit=COMMIT, files=(once, unknown)),
            Component(name="second", repo="c/d", commit=COMMIT, files=(again, unknown)),
        )
        one = Variant(name="fp16", format="gguf", precision="fp16", components=parts)
        known = report(Model(name="b", task="text-generation", category="llm", variants=(one,)))
        chosen = plan(known)
        assert [tuple(each.model_dump().values()) for each in chosen.parts] == [
            ("first", "a/b", 305_000, 305_000, 0),
            ("second", "c/d", 305_000, 5000, 300_000),
        ]
        assert (chosen.fetch_bytes, chosen.reuse_bytes) == (310_000, 300_000)
        # What is copied into a folder is there twice: the two files too small to link.
        assert chosen.disk_needed == 310_000 + 2 * 5000
        assert "fetch 310 kB in 3 files" in chosen.steps
        here = plan(known, present=frozenset({once.sha256}))
        assert (here.fetch_bytes, here.reuse_bytes) == (10_000, 600_000)

    def test_disk_is_what_comes_and_what_linking_copies(self) -> None:
        known, card = self.pipeline(), file("README.md", 1000)
        assert plan(known, companions=[card]).disk_needed == 1_001_000 + 1000
        every = frozenset(f.sha256 for _, f in known.models[0].variants[0].files()) | {card.sha256}
        assert plan(known, companions=[card], present=every).disk_needed == 1000

    def test_no_room_is_a_warning(self) -> None:
        known = self.pipeline()
        assert plan(known, room=Room(1_000_000)).warnings == ()
        short = plan(known, room=Room(999_999))
        assert [warning.code for warning in short.warnings] == ["disk"]
        assert "disk     1 MB of 1 MB free" in str(short)
        assert plan(known).disk_free is None
