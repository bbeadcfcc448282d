"""What lies beside a GGUF model: projectors, draft models; and what it was made of."""

import gguf
import pytest

from modelhub.registry.introspect import headers_wanted

from .build import chat, find, header, listing
from .found import codes, only_model, paths, said


def projector(*senses: str, kind: str = "qwen2.5vl_merger"):
    def more(writer):
        writer.add_type("mmproj")
        for sense in senses:
            writer.add_bool(f"clip.has_{sense}_encoder", True)
        writer.add_string("clip.projector_type", kind)

    return header("clip", more=more)


def chosen(files: list[str]) -> dict[str, str | None]:
    """The projector of each weight file."""
    found = find(files, {})
    return {
        paths(variant, "model")[0]: next(iter(paths(variant, "projector")), None)
        if len(variant.components) > 1
        else None
        for model in found.models
        for variant in model.variants
    }


@pytest.mark.parametrize(
    ("projectors", "weights", "best"),
    [
        (["mmproj-F16.gguf", "mmproj-F32.gguf"], "M-Q4_K_M.gguf", "mmproj-F16.gguf"),
        (["mmproj-BF16.gguf", "mmproj-F16.gguf"], "M-Q4_K_M.gguf", "mmproj-BF16.gguf"),
        (["mmproj-F16.gguf", "mmproj-Q8_0.gguf"], "M-Q4_K_M.gguf", "mmproj-Q8_0.gguf"),
        (["mmproj-F16.gguf", "mmproj-F32.gguf"], "M-F32.gguf", "mmproj-F32.gguf"),
        (["mmproj-model-f16.gguf"], "M-Q8_0.gguf", "mmproj-model-f16.gguf"),
        (["M-mmproj-f16.gguf"], "M-Q8_0.gguf", "M-mmproj-f16.gguf"),
        (["M.mmproj-Q8_0.gguf"], "M.Q4_K_M.gguf", "M.mmproj-Q8_0.gguf"),
        (["mmproj-F16.gguf", "a/mmproj-F32.gguf"], "a/M-Q4_K_M.gguf", "a/mmproj-F32.gguf"),
        (["mmproj-F16.gguf"], "a/b/M-Q4_K_M.gguf", "mmproj-F16.gguf"),
        (["b/mmproj-F16.gguf"], "a/M-Q4_K_M.gguf", None),
        (["ab/mmproj-F16.gguf"], "a/M-Q4_K_M.gguf", None),
    ],
)
def test_the_projector_is_the_one_that_llama_cpp_takes(projectors, weights, best):
    assert chosen([weights, *projectors]) == {weights: best}


def test_each_of_several_models_has_its_own_projector():
    files = ["a-4b-Q8_0.gguf", "a-12b-Q8_0.gguf", "mmproj-a-4b-f16.gguf", "mmproj-a-12b-f16.gguf"]
    assert chosen(files) == {
        "a-4b-Q8_0.gguf": "mmproj-a-4b-f16.gguf",
        "a-12b-Q8_0.gguf": "mmproj-a-12b-f16.gguf",
    }
    assert chosen([*files[:2], files[2]])["a-12b-Q8_0.gguf"] is None


def test_only_headers_of_projectors_that_are_taken_are_wanted():
    files = ["M-Q4_0.gguf", "mmproj-F16.gguf", "mmproj-F32.gguf"]
    assert headers_wanted(listing(files)) == ("M-Q4_0.gguf", "mmproj-F16.gguf")
    assert headers_wanted(listing(["mmproj-F16.gguf"])) == ()


@pytest.mark.parametrize(
    ("senses", "modalities"),
    [
        (("vision",), ["text", "image"]),
        (("audio",), ["text", "audio"]),
        (("vision", "audio"), ["text", "image", "audio"]),
    ],
)
def test_the_header_of_a_projector_says_what_the_model_takes(senses, modalities):
    heads = {"M-Q8_0.gguf": header(more=chat), "mmproj-F16.gguf": projector(*senses)}
    found = find(["M-Q8_0.gguf", "mmproj-F16.gguf"], heads)
    model = only_model(found)
    assert (model.task, model.details["modalities"]) == ("text-generation", modalities)
    assert model.details["projector_types"] == ["qwen2.5vl_merger"]
    (row,) = [row for row in found.evidence if row.key == "modalities"]
    assert (row.value, row.trust) == (modalities, 100)
    _, part = model.variants[0].components
    assert (part.name, part.precision, part.parameters) == ("projector", "fp16", 128)


def test_a_projector_that_only_its_header_names_is_one():
    heads = {"M-Q8_0.gguf": header(more=chat), "vision-f16.gguf": projector("vision")}
    found = find(["M-Q8_0.gguf", "vision-f16.gguf"], heads)
    assert said(found, "file:vision-f16.gguf", "role") == {"projector": 100}
    assert paths(only_model(found).variants[0], "projector") == ["vision-f16.gguf"]


def test_a_projector_without_a_header_says_nothing_of_senses():
    model = only_model(find(["M-Q8_0.gguf", "mmproj-F16.gguf"], {"M-Q8_0.gguf": header(more=chat)}))
    assert "modalities" not in model.details
    assert paths(model.variants[0], "projector") == ["mmproj-F16.gguf"]


def test_a_projector_is_none_of_a_diffusion_models():
    files = ["M-Q8_0.gguf", "mmproj-F16.gguf"]
    found = find(files, {"M-Q8_0.gguf": header("flux"), "mmproj-F16.gguf": projector("vision")})
    assert [part.name for part in only_model(found).variants[0].components] == ["model"]


def small(tokens: int = 2000, architecture: str = "llama"):
    def more(writer):
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list([f"t{n}" for n in range(tokens)])

    return header(architecture, more=more, tensors={"a": (1, 32)})


@pytest.mark.parametrize(
    ("name", "head", "trust"),
    [
        ("M-0.6B-DRAFT-Q8_0.gguf", small(), 50),
        ("M-draft-Q8_0.gguf", small(), 50),
        ("mtp-M-Q8_0.gguf", small(), 50),
        ("eagle3-M-Q8_0.gguf", small(), 50),
        ("M-dflash-Q8_0.gguf", small(), 50),
        ("dspark_m_q4pure.gguf", small(), 50),
        ("M-helper-Q8_0.gguf", small(architecture="eagle3"), 100),
    ],
)
def test_a_draft_model_is_not_offered_beside_the_one_that_it_is_for(name, head, trust):
    files = ["M-8B-Q4_K_M.gguf", name]
    found = find(files, {"M-8B-Q4_K_M.gguf": header(more=chat), name: head})
    model = only_model(found)
    assert [file.path for _, file in model.variants[0].files()] == ["M-8B-Q4_K_M.gguf"]
    assert said(found, f"file:{name}", "role") == {"draft model": trust}
    assert model.name == "tiny-chat"
    assert said(found, f"file:{name}", "draft_for") == {"tiny-chat": 100}
    assert codes(found) == []


def test_a_draft_model_of_another_tokenizer_is_for_none():
    heads = {"M-8B-Q4_K_M.gguf": header(more=chat), "M-draft-Q8_0.gguf": small(tokens=30)}
    found = find(list(heads), heads)
    assert len(found.models) == 1
    assert said(found, "file:M-draft-Q8_0.gguf", "role") == {"draft model": 50}
    assert said(found, "file:M-draft-Q8_0.gguf", "draft_for") == {}


def test_a_draft_model_alone_is_a_model():
    found = find(["Drafter-DRAFT-Q8_0.gguf"], header(more=chat))
    assert only_model(found).task == "text-generation"
    assert said(found, "file:Drafter-DRAFT-Q8_0.gguf", "role") == {"draft model": 50}
    tagged = find(["M-Q8_0.gguf"], header(more=chat), tags=("draft-model",))
    assert said(tagged, "file:M-Q8_0.gguf", "role") == {"draft model": 30}
    assert len(tagged.models) == 1


@pytest.mark.parametrize("name", ["drafting-7b-Q8_0.gguf", "beagle-Q8_0.gguf", "smtp-Q8_0.gguf"])
def test_words_that_only_look_like_it_make_no_draft(name):
    found = find([name, "Other-Q8_0.gguf"])
    assert len(found.models) == 2


def based(writer):
    chat(writer)
    writer.add_base_model_count(3)
    writer.add_base_model_repo_url(0, "https://huggingface.co/Qwen/Qwen3-0.6B-Base")
    writer.add_base_model_name(1, "Llama 3")
    writer.add_base_model_organization(1, "Meta")
    writer.add_base_model_name(2, "bad\nname")


def test_the_header_says_what_a_model_was_trained_from_and_the_card_what_was_quantized():
    found = find(
        ["M-Q8_0.gguf"],
        header(more=based),
        card={"base_model": ["Qwen/Qwen3-0.6B"]},
        tags=("base_model:quantized:Qwen/Qwen3-0.6B", "base_model:Qwen/Qwen3-0.6B"),
    )
    model = only_model(found)
    bases = ["Qwen/Qwen3-0.6B-Base", "Meta: Llama 3"]
    assert model.details["base_model"] == bases
    assert model.details["quantized_from"] == ["Qwen/Qwen3-0.6B"]
    rows = {(r.subject, r.key): (r.value, r.trust) for r in found.evidence}
    assert rows["model:tiny-chat", "base_model"] == (bases, 100)
    assert rows["repository", "base_model"] == (["Qwen/Qwen3-0.6B"], 30)
    assert rows["repository", "quantized_from"] == (["Qwen/Qwen3-0.6B"], 30)


@pytest.mark.parametrize(
    ("card", "names"),
    [
        ({"base_model": "a/b"}, ["a/b"]),
        ({"base_model": "a/b", "base_model_relation": "finetune"}, None),
        (
            {
                "base_model": [
                    "a/b",
                    "https://huggingface.co/a/b",
                    3,
                    {},
                    "no repository",
                    "x" * 400,
                    "a/b",
                ]
            },
            ["a/b"],
        ),
        ({"base_model": {"a": 1}}, None),
        ({}, None),
    ],
)
def test_a_card_is_not_believed_blindly(card, names):
    assert only_model(find(["M-Q8_0.gguf"], card=card)).details.get("quantized_from") == names


def ranking(*, head: int = 0, labels: tuple[str, ...] = (), name: str = "", template: bool = False):
    def more(writer):
        chat(writer)
        if labels:
            writer.add_array("qwen3.classifier.output_labels", list(labels))
        if name:
            writer.add_name(name)
        if template:
            writer.add_string("tokenizer.chat_template.rerank", "{query}")

    tensors = {"blk.0.ffn_up.weight": (4, 32)} | ({"cls.output.weight": (head, 32)} if head else {})
    return header("qwen3", more=more, tensors=tensors)


@pytest.mark.parametrize(
    ("head", "tag", "task", "trust", "told"),
    [
        (ranking(head=1), None, "text-ranking", 100, []),
        (ranking(head=2, labels=("yes", "no")), None, "text-ranking", 100, []),
        (ranking(head=2, labels=("good", "bad")), None, "text-generation", 100, []),
        (ranking(template=True), None, "text-ranking", 100, ["head.missing"]),
        (ranking(name="Qwen3 Reranker 0.6B"), None, "text-ranking", 50, ["head.missing"]),
        (ranking(), "text-ranking", "text-ranking", 30, ["head.missing"]),
        (ranking(), None, "text-generation", 100, []),
    ],
)
def test_rerankers_are_known_by_their_heads_else_by_what_they_are_called(head, tag, task, trust, told):
    found = find(["m-q4_k_m.gguf"], head, pipeline_tag=tag)
    assert only_model(found).task == task
    assert said(found, "model:tiny-chat", "task") == {task: trust}
    assert codes(found) == told


def test_a_bert_that_pools_and_scores_is_a_reranker():
    def more(writer):
        writer.add_tokenizer_model("bert")
        writer.add_pooling_type(gguf.PoolingType.CLS)

    found = find(["m-f16.gguf"], header("bert", more=more, tensors={"cls.output.weight": (1, 32)}))
    assert only_model(found).task == "text-ranking"
