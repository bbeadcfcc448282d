import gguf
import pytest

from modelhub.registry.introspect import headers_wanted

from .build import COMMIT, chat, find, header, listing
from .found import codes, only_model, said

QUANTIZATIONS = {
    "README.md": 100,
    "Tiny-Chat-F16.gguf": 4000,
    "Tiny-Chat-Q8_0.gguf": 2000,
    "Tiny-Chat-Q4_K_M.gguf": 1000,
}


def test_each_quantization_is_a_variant():
    model = only_model(find(QUANTIZATIONS))
    assert (model.name, model.task, model.category) == ("tiny-chat", "text-generation", "llm")
    assert [(v.name, v.precision, v.bytes, v.format) for v in model.variants] == [
        ("fp16", "fp16", 4000, "gguf"),
        ("q8_0", "q8_0", 2000, "gguf"),
        ("q4_k_m", "q4_k_m", 1000, "gguf"),
    ]
    (component,) = model.variants[0].components
    assert (component.name, component.format, component.precision) == ("model", "gguf", "fp16")
    assert (component.repo, component.commit, component.folder) == ("zoo/Tiny-Chat-GGUF", COMMIT, "")
    assert [file.path for file in component.files] == ["Tiny-Chat-F16.gguf"]


def test_one_header_is_asked_for_that_of_the_smallest():
    assert headers_wanted(listing(QUANTIZATIONS)) == ("Tiny-Chat-Q4_K_M.gguf",)


def test_the_header_says_what_the_model_is():
    found = find(QUANTIZATIONS)
    model = only_model(found)
    assert model.architecture == "llama"
    assert model.context_length == 2048
    assert model.parameters == 128
    assert {variant.parameters for variant in model.variants} == {128}
    assert model.details == {
        "layers": 2,
        "embedding_length": 64,
        "feed_forward_length": 256,
        "heads": 4,
        "kv_heads": 2,
        "key_length": 16,
        "value_length": 16,
        "vocabulary_size": 2000,
        "tokenizer": "gpt2",
        "chat_template": "{{ messages }}",
        "tensor_bytes": {"Tiny-Chat-Q4_K_M.gguf": 256},
    }
    assert said(found, "model:tiny-chat", "architecture") == {"llama": 100}
    assert said(found, "model:tiny-chat", "parameters") == {128: 100}
    assert said(found, "model:tiny-chat", "task") == {"text-generation": 100}
    assert codes(found) == []


def test_a_hyperparameter_may_differ_from_layer_to_layer():
    def more(writer):
        writer.add_head_count([8, 4])
        writer.add_head_count_kv([2, 4])

    details = only_model(find(["m-q8_0.gguf"], header(more=more))).details
    assert (details["heads"], details["kv_heads"]) == ([8, 4], [2, 4])
    assert "key_length" not in details


def test_without_a_header_names_and_card_have_to_do():
    model = only_model(find(QUANTIZATIONS, {}, pipeline_tag="feature-extraction"))
    assert (model.task, model.architecture, model.parameters, model.details) == (
        "feature-extraction",
        None,
        None,
        {},
    )
    found = find(QUANTIZATIONS, {})
    assert only_model(found).task == "text-generation"
    assert said(found, "model:tiny-chat", "task") == {"text-generation": 30}


SHARDS = {f"big/Big-Q8_0-0000{n}-of-00003.gguf": 100 + n for n in (3, 1, 2)}


def test_shards_are_one_variant_in_order():
    heads = [
        header(tensors={"a": (2, 32)}, more=lambda w: (chat(w), split(w, 0))),
        header(tensors={"b": (3, 32)}, more=lambda w: split(w, 1)),
        header(tensors={"c": (4, 32)}, more=lambda w: split(w, 2)),
    ]
    wanted = headers_wanted(listing(SHARDS))
    assert wanted == tuple(sorted(SHARDS))
    model = only_model(find(SHARDS, dict(zip(wanted, heads, strict=True))))
    (variant,) = model.variants
    assert [file.path for _, file in variant.files()] == sorted(SHARDS)
    assert variant.components[0].folder == "big"
    assert variant.bytes == 306
    assert model.parameters == variant.parameters == 9 * 32
    assert model.context_length == 2048


def split(writer: gguf.GGUFWriter, number: int, count: int = 3) -> None:
    writer.add_uint16("split.no", number)
    writer.add_uint16("split.count", count)


def test_of_many_shards_only_the_first_is_read():
    files = [f"M-Q8_0-{n:05}-of-00100.gguf" for n in range(1, 101)]
    assert headers_wanted(listing(files)) == (files[0],)
    model = only_model(find(files, header(more=lambda w: split(w, 0, 100))))
    assert model.parameters is None
    assert len(model.variants[0].components[0].files) == 100


def test_a_variant_that_lacks_a_shard_is_left_out():
    files = {path: size for path, size in SHARDS.items() if "00002" not in path}
    files["Big-Q4_K_M.gguf"] = 7
    found = find(files)
    assert [variant.name for variant in only_model(found).variants] == ["q4_k_m"]
    assert codes(found) == ["shards.missing"]
    assert "big/Big-Q8_0-00001-of-00003.gguf: 1 of 3 shards are missing (2)" in found.warnings[0].text


def test_a_repository_of_which_every_variant_lacks_shards_has_no_model():
    found = find(["M-Q8_0-00002-of-00009.gguf"])
    assert found.models == ()
    assert codes(found) == ["shards.missing"]
    assert "8 of 9 shards are missing (1, 3, 4, 5, 6…)" in found.warnings[0].text
    assert headers_wanted(listing(["M-Q8_0-00002-of-00009.gguf"])) == ()


def test_numbers_that_are_no_shards_of_theirs_are_left_out():
    whole = only_model(find(["M-Q8_0-00000-of-00001.gguf", "M-Q8_0-00001-of-00001.gguf"]))
    assert [file.path for _, file in whole.variants[0].files()] == ["M-Q8_0-00001-of-00001.gguf"]
    assert find(["M-Q8_0-00007-of-00002.gguf"]).models == ()


def test_a_file_whose_header_says_it_is_a_shard_is_left_out():
    found = find(["m-q8_0.gguf"], header(more=lambda writer: split(writer, 0)))
    assert found.models == ()
    assert "one of 3 shards" in found.warnings[0].text


def test_projectors_and_importance_matrices_are_no_variants():
    found = find([*QUANTIZATIONS, "mmproj-F16.gguf", "imatrix.gguf", "imatrix.dat"])
    assert len(only_model(found).variants) == 3
    assert said(found, "file:mmproj-F16.gguf", "role") == {"projector": 50}
    assert said(found, "file:imatrix.gguf", "role") == {"importance matrix": 50}


@pytest.mark.parametrize(
    ("head", "role"),
    [
        (header(more=lambda writer: writer.add_type("adapter")), "adapter"),
        (header(more=lambda writer: writer.add_type("mmproj")), "projector"),
        (header("clip"), "projector"),
        (header(tensors={}), "vocabulary"),
    ],
)
def test_a_header_tells_what_is_no_model(head, role):
    found = find(["thing-f16.gguf"], head)
    assert found.models == ()
    assert said(found, "file:thing-f16.gguf", "role") == {role: 100}


def pooling(number):
    return lambda writer: (chat(writer), writer.add_pooling_type(number))


@pytest.mark.parametrize(
    ("head", "tag", "task", "trust"),
    [
        (header(more=chat), None, "text-generation", 100),
        (header(more=chat), "feature-extraction", "text-generation", 100),
        (header("bert"), None, "feature-extraction", 100),
        (header("bert"), "text-ranking", "text-ranking", 30),
        (header("nomic-bert-moe"), "text-generation", "feature-extraction", 100),
        (
            header("qwen3", more=pooling(gguf.PoolingType.LAST)),
            "text-generation",
            "feature-extraction",
            100,
        ),
        (header("bert", more=pooling(gguf.PoolingType.RANK)), None, "text-ranking", 100),
        (header("qwen3", more=pooling(gguf.PoolingType.NONE)), None, "text-generation", 100),
        (
            header(more=lambda w: w.add_tokenizer_model("gpt2")),
            "fill-mask",
            "text-generation",
            100,
        ),
        (
            header(more=lambda w: w.add_tokenizer_model("gpt2")),
            "sentence-similarity",
            "feature-extraction",
            30,
        ),
        (
            header(more=lambda w: w.add_tokenizer_model("gpt2")),
            "feature-extraction",
            "feature-extraction",
            30,
        ),
        (header("flux"), None, "text-to-image", 100),
        (header("wan"), None, "text-to-video", 50),
        (header("wan"), "image-to-video", "image-to-video", 30),
        (header("something-new"), "text-to-speech", "text-to-speech", 30),
        (header("something-new"), "no-such-task", "text-generation", 30),
    ],
)
def test_the_task_is_what_the_structure_says_and_else_the_card(head, tag, task, trust):
    found = find(["m-f16.gguf"], head, pipeline_tag=tag)
    assert only_model(found).task == task
    assert said(found, "model:tiny-chat", "task") == {task: trust}
    assert said(found, "repository", "pipeline_tag") == ({tag: 30} if tag else {})


def test_a_chat_model_without_a_template_is_pointed_out():
    assert codes(find(["m-f16.gguf"], header())) == ["chat_template.missing"]
    embedder = header("bert", more=lambda w: w.add_pooling_type(gguf.PoolingType.CLS))
    assert codes(find(["m-f16.gguf"], embedder)) == []


@pytest.mark.parametrize(
    ("architecture", "number", "pooling"),
    [
        ("bert", gguf.PoolingType.MEAN, "mean"),
        ("bert", gguf.PoolingType.CLS, "cls"),
        ("qwen3", gguf.PoolingType.LAST, "lasttoken"),
        ("nomic-bert", None, "mean"),
        ("qwen3", None, "lasttoken"),
    ],
)
def test_how_an_embedder_pools_is_said_or_assumed(architecture, number, pooling):
    def more(writer):
        writer.add_tokenizer_model("bert")
        writer.add_embedding_length(384)
        writer.add_context_length(512)
        if number is not None:
            writer.add_pooling_type(number)

    found = find(["m-f16.gguf"], header(architecture, more=more), pipeline_tag="sentence-similarity")
    details = only_model(found).details
    assert only_model(found).task == "feature-extraction"
    assert (details["pooling"], details["dimensions"], details["max_input"]) == (pooling, 384, 512)
    assert codes(found) == ([] if number is not None else ["pooling.assumed"])


def test_a_chat_models_details_have_nothing_of_an_embedders():
    assert "dimensions" not in only_model(find(QUANTIZATIONS)).details


def test_licences_that_differ_are_both_told():
    found = find(QUANTIZATIONS, license="agpl-3.0")
    assert said(found, "repository", "license") == {"agpl-3.0": 30}
    assert said(found, "model:tiny-chat", "license") == {"apache-2.0": 100}
    assert codes(found) == ["license.copyleft", "license.conflict"]
    assert codes(find(QUANTIZATIONS, license="Apache-2.0")) == []


@pytest.mark.parametrize(
    "text",
    ["llama\x00", "a b", "x" * 65, "", "../etc"],
)
def test_an_architecture_that_is_no_word_is_none(text):
    assert only_model(find(["m-f16.gguf"], header(text))).architecture is None


def test_absurd_numbers_and_texts_do_not_become_facts():
    def more(writer):
        writer.add_uint64("llama.context_length", (1 << 64) - 1)
        writer.add_uint64("llama.block_count", (1 << 64) - 1)
        writer.add_string("general.license", "x" * 1000)
        writer.add_string("tokenizer.ggml.model", "a\nb")
        writer.add_chat_template("x" * 70_000)

    found = find(["m-f16.gguf"], header(more=more))
    model = only_model(found)
    assert model.context_length is None
    assert model.details == {}
    assert said(found, "model:tiny-chat", "license") == {}
