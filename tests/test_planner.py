"""The planner is pure: plain values in, a plan out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import (
    AmbiguousReference,
    InvalidInput,
    RuntimeNotFound,
    TaskNotSupported,
    VariantNotFound,
)
from modelhub.facts import Component, Device, MemoryNeed, Model, RepoFile, Report, RuntimeView, Variant
from modelhub.planner import Offer, Wish, candidates, check_runtime_name, choose_device, make_plan
from modelhub.refs import Digest, Precision

COMMIT = "c" * 40
GB = 10**9
CPU = Device(name="cpu", kind="cpu", memory_total=16 * GB, memory_free=8 * GB)
ENGINE = RuntimeView(name="engine", tasks=("text-generation",), formats=("gguf",))


def variant(precision: str, size: int, name: str | None = None) -> Variant:
    file = RepoFile(
        path=f"model-{name or precision}.gguf", size=size, sha256=Digest.of((name or precision).encode())
    )
    part = Component(name="model", repo="a/b", commit=COMMIT, files=(file,))
    return Variant(name=name or precision, format="gguf", precision=precision, components=(part,))


def model(*variants: Variant, name: str = "b", task: str = "text-generation") -> Model:
    return Model(name=name, task=task, category="llm", variants=variants)


def report(*models: Model) -> Report:
    return Report(repo="a/b", source="huggingface", commit=COMMIT, models=models)


def offers(known: Report, *views: RuntimeView, device: Device = CPU) -> list[Offer]:
    return [
        Offer(
            view,
            m,
            v,
            device,
            ok=m.task in view.tasks,
            need=MemoryNeed.whole(v.bytes),
            reason="" if m.task in view.tasks else "no",
        )
        for view in views
        for m in known.models
        for v in m.variants
    ]


def plan(known: Report, wish: Wish = Wish(), *views: RuntimeView, present=()):  # noqa: B008
    return make_plan(
        known, wish, offers(known, *(views or (ENGINE,))), CPU, frozenset(present).__contains__
    )


THREE = report(model(variant("q4_k_m", 2 * GB), variant("fp16", 20 * GB), variant("q8_0", 5 * GB)))


def test_takes_the_best_quality_that_fits_and_says_what_did_not():
    chosen = plan(THREE)
    assert (chosen.variant, chosen.runtime, chosen.device, chosen.fits) == (
        "q8_0",
        "engine",
        "cpu",
        True,
    )
    assert chosen.why[0] == "fp16 would need 20 GB of 8 GB free"
    assert "q8_0 is the best quality that fits" in chosen.why[1]


@pytest.mark.parametrize("tag", ["q4_k_m", "Q4_K_M"])
def test_a_tag_or_a_variant_name_decides(tag):
    assert plan(THREE, Wish(tags=(tag,))).variant == "q4_k_m"
    assert plan(THREE, Wish(variant=tag)).variant == "q4_k_m"


def test_f16_means_fp16_and_a_format_narrows_to_all_of_it():
    assert plan(THREE, Wish(tags=("f16",))).variant == "fp16"
    assert plan(THREE, Wish(tags=("gguf", "chat"))).variant == "q8_0"


def test_counts_what_is_here_and_what_must_come():
    here = THREE.models[0].variants[2].components[0].files[0].sha256
    chosen = plan(THREE, present=[here])
    assert (chosen.fetch_bytes, chosen.reuse_bytes) == (0, 5 * GB)
    assert not [step for step in chosen.steps if step.startswith("fetch")]
    chosen = plan(THREE)
    assert (chosen.fetch_bytes, chosen.reuse_bytes) == (5 * GB, 0)
    assert chosen.steps[0] == "fetch 5 GB in 1 file"


def test_nothing_fits_is_a_plan_with_the_smallest_that_says_so():
    chosen = plan(report(model(variant("fp16", 30 * GB), variant("q8_0", 15 * GB))))
    assert (chosen.variant, chosen.fits) == ("q8_0", False)
    assert "does not fit" in chosen.why[-1]


def test_a_runtime_that_is_not_installed_gives_the_line_that_installs_it():
    lacking = ENGINE.model_copy(
        update={
            "usable": False,
            "reason": "lacks xllamacpp",
            "install": 'pip install "modelhub[llama-server]"',
        }
    )
    chosen = plan(THREE, Wish(), lacking)
    assert chosen.runtime is None
    assert chosen.steps[0] == 'pip install "modelhub[llama-server]"'
    assert "engine lacks xllamacpp" in chosen.why


def test_an_installed_runtime_wins_over_a_better_one_that_is_not():
    better = ENGINE.model_copy(
        update={"name": "better", "priority": 50, "usable": False, "install": "pip"}
    )
    assert plan(THREE, Wish(), better, ENGINE).runtime == "engine"


def test_priority_decides_between_equals_and_an_explicit_one_must_be_named():
    low = ENGINE.model_copy(update={"name": "low", "priority": -5})
    shy = ENGINE.model_copy(update={"name": "shy", "priority": 99, "explicit": True})
    assert plan(THREE, Wish(), low, ENGINE, shy).runtime == "engine"
    assert plan(THREE, Wish(runtime="low"), low, ENGINE, shy).runtime == "low"
    assert plan(THREE, Wish(runtime="shy"), low, ENGINE, shy).runtime == "shy"


def test_no_runtime_for_the_format_is_still_a_plan():
    chosen = plan(THREE, Wish(), ENGINE.model_copy(update={"tasks": ("object-detection",)}))
    assert chosen.runtime is None
    assert chosen.why == (
        "modelhub has no runtime yet that runs text-generation",
        "engine: no",
    )
    assert chosen.steps == (
        "add a plugin that runs text-generation: docs/tutorial/write-a-runtime.md says how to write one",
    )


def test_unknown_variant_lists_those_that_exist_nearest_first():
    with pytest.raises(VariantNotFound) as caught:
        plan(THREE, Wish(tags=("q4_k_s",)))
    assert caught.value.hint == "It has q4_k_m, q8_0, fp16."


def test_several_models_need_a_tag():
    two = report(model(variant("q8_0", GB), name="one"), model(variant("q8_0", GB), name="two"))
    with pytest.raises(AmbiguousReference, match="several models") as caught:
        candidates(two, Wish())
    assert "a/b:one, a/b:two" in caught.value.hint
    assert candidates(two, Wish(tags=("two",)))[0][0].name == "two"


def test_a_task_that_nothing_serves_is_refused_with_those_that_are():
    with pytest.raises(TaskNotSupported) as caught:
        plan(THREE, Wish(task="detect"))
    assert caught.value.hint == "It serves text-generation."
    with pytest.raises(TaskNotSupported):
        plan(report())


def test_devices_and_runtimes_are_refused_by_name():
    gpu = Device(name="cuda:0", kind="cuda", memory_total=GB, memory_free=GB)
    assert choose_device((CPU, gpu), None) is gpu
    assert choose_device((CPU, gpu), "CPU") is CPU
    with pytest.raises(InvalidInput, match="no device 'tpu'"):
        choose_device((CPU,), "tpu")
    with pytest.raises(RuntimeNotFound) as caught:
        check_runtime_name((ENGINE,), "engin")
    assert "engine" in caught.value.hint


@given(
    st.lists(
        st.tuples(st.sampled_from(list(Precision)), st.integers(1, 20 * GB)),
        min_size=1,
        unique_by=lambda pair: pair[0],
    )
)
def test_never_a_worse_one_than_fits(found):
    known = report(model(*(variant(str(precision), size) for precision, size in found)))
    chosen = plan(known)
    fitting = [v for v in known.models[0].variants if v.bytes <= CPU.memory_free]
    if fitting:
        assert chosen.choice.quality == max(v.quality for v in fitting)
    else:
        assert not chosen.fits
        assert chosen.choice.bytes == min(v.bytes for v in known.models[0].variants)
    assert chosen.model_validate_json(chosen.model_dump_json()) == chosen
    assert replace(Wish(), variant=chosen.variant).variant in str(chosen)
