"""The contract for introspectors: modelhub's own families keep it, and each rule fails for one that breaks it."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from modelhub.facts import Component, Evidence, Model, Variant
from modelhub.registry.introspect import FROM_CONFIG, Findings, Introspector
from modelhub.registry.introspect.diffusers import DiffusersFamily
from modelhub.registry.introspect.onnx import ONNXFamily
from modelhub.registry.introspect.testing import IntrospectorContract, Sample, build_sample
from modelhub.registry.introspect.transformers import TransformersFamily

from .repos import CHAT, EMBEDDER

HEARING = {
    "config.json": {
        "architectures": ["Wav2Vec2ForCTC"],
        "model_type": "wav2vec2",
        "id2label": {"0": "a"},
    },
    "preprocessor_config.json": {"feature_extractor_type": "Wav2Vec2FeatureExtractor"},
    "generation_config.json": {"lang_to_id": {"<|de|>": 5}, "alignment_heads": [[0, 1]]},
    "model.safetensors": None,
}
PIPELINE = {
    "model_index.json": {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    },
    "unet/config.json": {"_class_name": "UNet2DConditionModel"},
    "unet/diffusion_pytorch_model.safetensors": None,
    "scheduler/scheduler_config.json": {"_class_name": "DDIMScheduler"},
}
GRAPHS = {
    "config.json": {"model_type": "whisper", "num_mel_bins": 80, "quantization_config": {"bits": 4}},
    "generation_config.json": {"eos_token_id": 5},
    "preprocessor_config.json": {},
    "tokenizer_config.json": {"tokenizer_class": "WhisperTokenizer"},
    "onnx/encoder_model.onnx": None,
    "onnx/decoder_model_merged.onnx": None,
}


def as_bytes(files: dict[str, object]) -> Sample:
    return build_sample(
        {
            path: 1000 if path.endswith((".safetensors", ".onnx")) else json.dumps(value).encode()
            for path, value in files.items()
        }
    )


class Plugged(TransformersFamily, Introspector):
    name = "plugged"


class PluggedDiffusers(DiffusersFamily, Introspector):
    name = "plugged-diffusers"


class PluggedONNX(ONNXFamily, Introspector):
    name = "plugged-onnx"


class TestTransformers(IntrospectorContract):
    def make_introspector(self) -> Introspector:
        return Plugged()

    def samples(self) -> Sequence[Sample]:
        return [as_bytes(CHAT), as_bytes(EMBEDDER), as_bytes(HEARING)]


class TestDiffusers(IntrospectorContract):
    def make_introspector(self) -> Introspector:
        return PluggedDiffusers()

    def samples(self) -> Sequence[Sample]:
        return [as_bytes(PIPELINE)]


class TestONNX(IntrospectorContract):
    def make_introspector(self) -> Introspector:
        return PluggedONNX()

    def samples(self) -> Sequence[Sample]:
        return [as_bytes(GRAPHS)]


class Good(Introspector):
    """Keeps every rule, in the shortest way."""

    name = "good"
    task = "text-classification"
    evidence = "toy.json"

    def matches(self, listing):
        return "toy.json" in listing.by_path

    def describe(self, listing, metadata):
        rows = (
            Evidence(
                subject="model:toy",
                key="task",
                value=self.task,
                evidence=self.evidence,
                trust=FROM_CONFIG,
            ),
        )
        part = Component(name="m", repo=listing.repo.id, commit=listing.commit, files=listing.files[:2])
        variants = (Variant(name="toy", format="toy", components=(part,)),)
        return Findings((Model(name="toy", task=self.task, category="llm", variants=variants),), rows)


class OfTheFuture(Good):
    api_version = 2


class NamedLikeOurs(Good):
    name = "gguf"


class KnowsAll(Good):
    def matches(self, listing):
        return True


class FindsNothing(Good):
    def describe(self, listing, metadata):
        return Findings()


class SaysNothing(Good):
    evidence = ""


class HasItsOwnTask(Good):
    task = "cooking"


class WantsWhatIsNotThere(Good):
    def files_wanted(self, listing):
        return ("no-such-file",)


class Throws(Good):
    def describe(self, listing, metadata):
        found = super().describe(listing, metadata)
        model = found.models[0].model_copy(update={"details": {"dice": random.random()}})
        return Findings((model,), found.evidence)


class Opens(Good):
    def describe(self, listing, metadata):
        Path(__file__).read_bytes()
        return super().describe(listing, metadata)


class Keeps(Good):
    def describe(self, listing, metadata):
        metadata.files["more.json"] = b""
        return super().describe(listing, metadata)


class NeedsItsFile(Good):
    def describe(self, listing, metadata):
        assert metadata.files["toy.json"] is not None
        return super().describe(listing, metadata)


class BelievesThatItIsJson(Good):
    def describe(self, listing, metadata):
        json.loads(metadata.files.get("toy.json", b"{}"))
        return super().describe(listing, metadata)


class BelievesItsNumbers(Good):
    def describe(self, listing, metadata):
        try:
            value = json.loads(metadata.files.get("toy.json", b"{}"))
        except (ValueError, RecursionError):
            value = {}
        if isinstance(value, dict) and value.get("size") is not None:
            value["size"] += 1
        return super().describe(listing, metadata)


class CannotCount(Good):
    def describe(self, listing, metadata):
        assert len(listing.files) < 10_000
        return super().describe(listing, metadata)


RULES = {
    OfTheFuture: "test_class_attributes",
    NamedLikeOurs: "test_class_attributes",
    KnowsAll: "test_it_knows_its_samples_and_not_every_repository",
    FindsNothing: "test_models_are_found_and_can_be_believed",
    SaysNothing: "test_each_task_has_evidence",
    HasItsOwnTask: "test_models_are_found_and_can_be_believed",
    WantsWhatIsNotThere: "test_what_it_wants_is_there",
    Throws: "test_the_same_gives_the_same",
    Opens: "test_it_opens_nothing",
    Keeps: "test_it_changes_nothing_that_it_is_given",
    NeedsItsFile: "test_what_was_not_read_is_no_error",
    BelievesThatItIsJson: "test_garbage_is_no_error",
    BelievesItsNumbers: "test_values_of_another_kind_are_no_error",
    CannotCount: "test_odd_listings_are_no_error",
}


def contract(kind: type[Introspector]) -> IntrospectorContract:
    class Of(IntrospectorContract):
        def make_introspector(self):
            return kind()

        def samples(self):
            return [build_sample({"toy.json": b'{"size": 5}', "weights.toy": 100})]

    return Of()


@pytest.mark.parametrize(("kind", "rule"), RULES.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_each_rule_fails_for_one_that_breaks_it(kind, rule):
    getattr(contract(Good), rule)()
    with pytest.raises(Exception):  # noqa: B017 - whatever a test fails with
        getattr(contract(kind), rule)()


def test_every_rule_but_one_is_broken_here():
    rules = {name for name in dir(IntrospectorContract) if name.startswith("test_")}
    assert rules - set(RULES.values()) == {"test_threads_may_share_it"}
