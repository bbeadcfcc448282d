"""Adapters: what they are, on which model they build, and what of that is believed."""

import pytest

from .adapters import CONFIG, lora, peft
from .found import codes, only_model, paths, said
from .repos import CHAT, find, header

SD = {"tags": ("lora", "base_model:adapter:zoo/sdxl"), "pipeline_tag": "text-to-image"}
KOHYA = (
    "lora_unet_down_blocks_0.lora_down.weight",
    "lora_unet_down_blocks_0.lora_up.weight",
    "lora_unet_down_blocks_0.alpha",
)


def test_a_peft_adapter_is_a_model_that_builds_on_another():
    found = find(peft(revision="v2"), "Tiny-LoRA")
    model = only_model(found)
    (variant,) = model.variants
    assert codes(found) == []
    assert (model.name, model.task, model.category, model.parameters) == (
        "tiny-lora",
        "text-generation",
        "llm",
        256,
    )
    assert model.details == {
        "adapter": {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "r": 8,
            "lora_alpha": 16,
            "target_modules": ["q_proj", "v_proj"],
        },
        "base": {"repo": "zoo/base", "revision": "v2"},
    }
    assert (variant.name, variant.format, variant.precision) == ("fp16", "peft", "fp16")
    assert paths(variant, "adapter") == ["adapter_model.safetensors", "adapter_config.json"]
    assert said(found, "model:tiny-lora", "base_model") == {"zoo/base": 80}


def test_configuration_outranks_card_and_both_are_kept():
    found = find(peft(), card={"base_model": "zoo/other"}, tags=("base_model:adapter:zoo/other",))
    assert only_model(found).details["base"] == {"repo": "zoo/base"}
    assert said(found, "model:tiny-chat", "base_model") == {"zoo/base": 80, "zoo/other": 30}


def test_the_header_knows_the_rank_better():
    found = find(peft() | {"adapter_model.safetensors": lora(rank=4)})
    assert only_model(found).details["adapter"]["r"] == 4
    assert said(found, "model:tiny-chat", "r") == {8: 80, 4: 100}


def test_a_tokenizer_beside_it_is_its_own():
    found = find(peft() | {"tokenizer.json": {}, "tokenizer_config.json": {}})
    (variant,) = only_model(found).variants
    assert paths(variant, "tokenizer") == ["tokenizer.json", "tokenizer_config.json"]


def test_folders_are_models_of_their_own_names():
    found = find(peft("french") | peft("styles/pirate", r=2))
    assert [(model.name, model.variants[0].components[0].folder) for model in found.models] == [
        ("french", "french"),
        ("styles-pirate", "styles/pirate"),
    ]


def test_what_training_left_is_no_model_beside_what_it_became():
    found = find(peft() | peft("checkpoint-500") | peft("checkpoint-1000"))
    assert [model.name for model in found.models] == ["tiny-chat"]
    found = find(peft("checkpoint-500") | peft("checkpoint-1000"))
    assert [model.name for model in found.models] == ["checkpoint-1000", "checkpoint-500"]


@pytest.mark.parametrize("whole", [CHAT, {"model.gguf": None}])
def test_beside_a_whole_model_it_is_told_and_is_no_model(whole):
    with_it = find(whole | peft("speech-lora"))
    without = find(whole)
    assert with_it.models == without.models
    assert said(with_it, "file:speech-lora/adapter_model.safetensors", "role") == {"adapter": 50}


def test_a_pickled_one_is_told():
    found = find({"adapter_config.json": CONFIG, "adapter_model.bin": None})
    (variant,) = only_model(found).variants
    assert (variant.name, variant.format, variant.precision) == ("pytorch", "pytorch", None)
    assert codes(found) == ["format.pickle"]


def test_a_lora_for_diffusers_is_known_by_tag_and_tensors():
    found = find({"pytorch_lora_weights.safetensors": lora(KOHYA, rank=4)}, "My-Style", **SD)
    model = only_model(found)
    (variant,) = model.variants
    assert codes(found) == []
    assert (model.name, model.task, variant.name, variant.format) == (
        "my-style",
        "text-to-image",
        "fp16",
        "lora",
    )
    assert model.details == {"adapter": {"r": 4, "peft_type": "LORA"}, "base": {"repo": "zoo/sdxl"}}
    assert said(found, "model:my-style", "r") == {4: 100}


def test_the_metadata_of_its_header_is_evidence():
    metadata = {"ss_base_model_version": "sdxl_base_v1-0", "ss_network_dim": "4", "odd": "\u2028"}
    found = find({"a_lora.safetensors": lora(KOHYA, rank=4, metadata=metadata)}, **SD)
    assert only_model(found).details["adapter"]["base_architecture"] == "sdxl_base_v1-0"
    assert said(found, "model:tiny-chat", "r") == {4: 100, "4": 80}


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("unet.down.attn.to_q.lora.down.weight", "unet.down.attn.to_q.lora.up.weight"), "LORA"),
        (("transformer.a.to_q_lora.down.weight", "transformer.a.to_q_lora.up.weight"), "LORA"),
        (("unet.x.lora_linear_layer.down.weight", "unet.x.lora_linear_layer.up.weight"), "LORA"),
        (("lycoris_a.lokr_w1", "lycoris_a.lokr_w2", "lycoris_a.alpha"), "LOKR"),
        (("x.hada_w1_a", "x.hada_w1_b"), "LOHA"),
    ],
)
def test_tensors_are_named_as_trainers_name_them(names, kind):
    found = find({"style.safetensors": lora(names)}, **SD)
    assert only_model(found).details["adapter"]["peft_type"] == kind


def test_several_files_are_several_models():
    files = {name: lora(KOHYA) for name in ("Red_Style.safetensors", "blue-style.safetensors")}
    assert [model.name for model in find(files, **SD).models] == ["red_style", "blue-style"]


def test_files_in_folders_are_known_by_the_names_of_these():
    found = find(
        {
            f"4steps-lora-{version}/{half}_noise_model.safetensors": lora()
            for version in ("v1", "v2")
            for half in ("high", "low")
        }
        | {"vae/other.safetensors": lora()}
    )
    assert [model.name for model in found.models] == [
        "high_noise_model",
        "low_noise_model",
        "4steps-lora-v2-high_noise_model",
        "4steps-lora-v2-low_noise_model",
    ]
    assert [model.variants[0].components[0].folder for model in found.models] == [
        *["4steps-lora-v1"] * 2,
        *["4steps-lora-v2"] * 2,
    ]


def test_what_only_claims_to_be_one_is_no_model():
    found = find({"whole.safetensors": header("F16")}, **SD)
    assert found.models == ()
    assert codes(found) == ["adapter.unknown"]


def test_by_its_name_only_the_file_itself_is_said_to_be_one():
    found = find({"whole.safetensors": header("F16"), "fast_LoRA.safetensors": lora(KOHYA)})
    assert [file.path for _, file in only_model(found).variants[0].files()] == ["fast_LoRA.safetensors"]
    assert codes(found) == ["base.unknown"]


def test_a_file_that_nothing_calls_an_adapter_is_left_alone():
    assert codes(find({"style.safetensors": lora(KOHYA)})) == ["family.unknown"]


@pytest.mark.parametrize(
    "base",
    ["/home/me/model", "./out", "../x", "~/x", "C:\\models\\x", "a\\b", "file:///x", "out/a/b", "."],
)
def test_a_folder_of_whoever_made_it_is_no_repository(base):
    found = find(peft(base_model_name_or_path=base))
    assert "base" not in only_model(found).details
    assert codes(found) == ["base.unknown"]
    assert said(found, "model:tiny-chat", "base_model") == {base: 80}


def test_where_the_configuration_has_a_path_the_card_may_know():
    found = find(peft(base_model_name_or_path="/tmp/x"), card={"base_model": ["zoo/other"]})
    assert only_model(found).details["base"] == {"repo": "zoo/other"}
    assert codes(found) == []


@pytest.mark.parametrize(
    "base",
    [
        "https://huggingface.co/zoo/base",
        "zoo/..",
        "../../etc/passwd",
        "zoo/ba se",
        "zoo/bäse",
        "zoo/base@v1",
        "zoo/base:q4_0",
        "hf://zoo/base",
        "a" * 97,
        "зоо/base",
    ],
)
def test_what_no_repository_can_be_called_is_not_followed(base):
    found = find(peft(base_model_name_or_path=base))
    assert "base" not in only_model(found).details
    assert codes(found) == ["base.unknown"]


@pytest.mark.parametrize("base", [7, None, ["zoo/base"], {}, "x" * 301, "a\nb", "", True])
def test_of_another_type_it_counts_as_absent(base):
    found = find(peft(base_model_name_or_path=base))
    assert "base" not in only_model(found).details
    assert set(codes(found)) <= {"base.unknown", "metadata.damaged"}
    assert "base.unknown" in codes(found)


@pytest.mark.parametrize("revision", ["a b", "../x", "v1:tag", "/", 7, "x" * 400, "é"])
def test_an_odd_revision_counts_as_none(revision):
    found = find(peft(revision=revision))
    assert only_model(found).details["base"] == {"repo": "zoo/base"}
    assert codes(found) == ["metadata.damaged"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("r", -1),
        ("r", "8"),
        ("r", 1 << 60),
        ("r", True),
        ("lora_alpha", "x"),
        ("lora_alpha", 1 << 60),
        ("lora_alpha", []),
        ("target_modules", 7),
        ("target_modules", ["a", 7]),
        ("target_modules", "x" * 400),
        ("peft_type", "lora; rm"),
        ("peft_type", []),
        ("task_type", "КОТ"),
    ],
)
def test_wrong_values_are_told_and_passed_over(name, value):
    found = find(peft(**{name: value}))
    kept = only_model(found).details["adapter"].get(name)
    assert kept in (None, 8, "LORA")  # what the header says instead
    assert codes(found) == ["metadata.damaged"]


def test_ten_thousand_modules_are_counted_and_a_few_kept():
    found = find(peft(target_modules=[f"layer.{n}" for n in range(10_000)]))
    details = only_model(found).details["adapter"]
    assert (len(details["target_modules"]), details["target_modules_count"]) == (64, 10_000)


def test_a_pattern_of_modules_is_kept_and_so_is_a_broken_alpha():
    details = only_model(find(peft(target_modules="all-linear", lora_alpha=0.5))).details["adapter"]
    assert (details["target_modules"], details["lora_alpha"]) == ("all-linear", 0.5)


@pytest.mark.parametrize("text", [b"[]", b"{", b"null", b'"x"', b"\xff"])
def test_a_configuration_that_is_none_leaves_what_tensors_and_card_say(text):
    found = find(peft() | {"adapter_config.json": text}, card={"base_model": "zoo/base"})
    model = only_model(found)
    assert model.details["base"] == {"repo": "zoo/base"}
    assert "metadata.damaged" in codes(found)


def test_several_bases_of_a_card_are_none():
    found = find({"x_lora.safetensors": lora(KOHYA)}, card={"base_model": ["a/b", "c/d"]})
    assert "base" not in only_model(found).details
    assert codes(found) == ["base.unknown"]


def test_a_task_that_is_none_of_ours_leaves_no_model():
    found = find(peft(task_type="NO_SUCH_TASK"))
    assert found.models == ()
    assert "task.unknown" in codes(found)
