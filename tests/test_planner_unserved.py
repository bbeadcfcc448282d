"""What a plan says where no runtime takes it: of which formats, which tasks, and what to do."""

from collections.abc import Iterator

import pytest

from modelhub.errors import RuntimeNotFound
from modelhub.facts import MemoryNeed, Plan, Report, Variant
from modelhub.hub.hindrances import check_runnable
from modelhub.planner import Offer, Wish, make_plan
from modelhub.runtimes import Runtimes
from tests.test_planner import CPU, GB, model, report, variant

CHAT, SPEECH = "text-generation", "automatic-speech-recognition"
VIEWS = {view.name: view for view in Runtimes().views()}
OURS = ("llama_cpp", "llama_server", "transformers")
"""The runtimes that come with modelhub, whatever else is installed here."""


def in_format(kind: str, name: str = "") -> Variant:
    one = variant("fp16", GB, name or kind)
    return one.model_copy(update={"format": kind})


def said(known: Report, name: str) -> Iterator[Offer]:
    """What a runtime says of each variant, as the hub asks it."""
    view, runtime = VIEWS[name], Runtimes().load(name)
    for one in known.models:
        for each in one.variants:
            support = runtime.supports(one, each, CPU)
            served = one.task in view.tasks
            reason = support.reason if served else f"{name} does not serve {one.task}"
            yield Offer(
                view, one, each, CPU, served and support.ok, MemoryNeed.whole(each.bytes), reason
            )


def plan(known: Report, wish: Wish = Wish(), names: tuple[str, ...] = OURS) -> Plan:  # noqa: B008
    offers = [offer for name in names for offer in said(known, name)]
    return make_plan(known, wish, offers, CPU, frozenset().__contains__)


@pytest.mark.parametrize("kind", ["peft", "lora", "ctranslate2", "ggml", "onnx", "paddle"])
def test_a_format_that_no_runtime_reads(kind: str) -> None:
    chosen = plan(report(model(in_format(kind))))
    assert chosen.runtime is None
    assert chosen.why == (
        f"modelhub has no runtime yet that runs text-generation in {kind}",
        "llama_cpp reads gguf",
        "llama_server reads gguf",
        "transformers reads safetensors, pytorch",
    )
    assert chosen.steps == (
        (
            "take text-generation in a format that a runtime here reads: "
            "gguf (llama_cpp, llama_server), safetensors (transformers), pytorch (transformers)"
        ),
        (
            f"add a plugin that runs text-generation in {kind}: "
            "docs/tutorial/write-a-runtime.md says how to write one"
        ),
    )


def test_an_adapter_in_a_pickle_has_the_reason_of_the_runtime_that_could() -> None:
    """It would load the model that the adapter builds on, and leave the adapter out."""
    whole = in_format("pytorch")
    (part,) = whole.components
    adapted = whole.model_copy(
        update={"components": (part.model_copy(update={"name": "adapter"}), part)}
    )
    chosen = plan(report(model(adapted)))
    assert chosen.runtime is None
    assert chosen.why[-1] == "transformers loads whole models of pickles, and no adapter"


def test_a_task_that_no_runtime_serves() -> None:
    chosen = plan(report(model(in_format("ggml"), task=SPEECH)))
    assert chosen.why == (
        f"modelhub has no runtime yet that runs {SPEECH}",
        f"llama_cpp does not serve {SPEECH}",
        f"llama_server does not serve {SPEECH}",
        f"transformers does not serve {SPEECH}",
    )
    assert chosen.steps == (
        f"add a plugin that runs {SPEECH}: docs/tutorial/write-a-runtime.md says how to write one",
    )


def test_each_runtime_says_it_once_however_many_variants_there_are() -> None:
    several = [in_format("peft", "bin"), in_format("onnx"), in_format("onnx", "onnx-2")]
    chosen = plan(report(model(*several)))
    assert [line.split()[0] for line in chosen.why] == ["modelhub", *OURS]


def test_a_runtime_that_is_named_is_the_only_one_that_is_asked() -> None:
    """Others could run it: that none could is not said."""
    chosen = plan(report(model(in_format("safetensors"))), Wish(runtime="llama_cpp"))
    assert (chosen.runtime, chosen.why) == (None, ("llama_cpp reads gguf",))
    assert chosen.steps == ("no installed runtime can run it",)


def test_the_echo_is_no_runtime_for_a_format() -> None:
    """It reads whatever there is, and is only for trying things out."""
    chosen = plan(report(model(in_format("onnx"))), names=(*OURS, "echo"))
    assert chosen.why[0] == "modelhub has no runtime yet that runs text-generation in onnx"
    assert not any("echo" in line for line in (*chosen.why, *chosen.steps))


def test_the_format_is_read_and_this_variant_is_not_taken() -> None:
    packed = model(in_format("safetensors")).model_copy(update={"details": {"quantization": "gptq"}})
    chosen = plan(report(packed))
    assert chosen.why[-1] == "transformers loads plain weights; these are packed (gptq)"
    assert not any("modelhub has no runtime" in line for line in chosen.why)


def test_asking_for_it_all_the_same_says_what_to_do() -> None:
    with pytest.raises(RuntimeNotFound, match="runs text-generation in onnx") as caught:
        check_runnable(plan(report(model(in_format("onnx")))))
    assert "Add a plugin that runs text-generation in onnx: docs/tutorial/" in caught.value.hint
    assert "modelhub doctor" in caught.value.hint


def test_no_runtime_at_all() -> None:
    chosen = plan(report(model(in_format("onnx"))), names=())
    assert (chosen.why, chosen.steps) == ((), ("no runtime for it is known",))
