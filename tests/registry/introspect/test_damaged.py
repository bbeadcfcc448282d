"""Small files that lie, are broken, or were made to hurt: each is named in a warning, and none is believed."""

import json

import pytest

from modelhub.registry.introspect import Findings
from modelhub.registry.introspect.documents import MAX_TOLD

from .found import codes
from .repos import BERT, CHAT, EMBEDDER, LLAMA, find, header

BOMBS = {
    "empty": b"",
    "half": b'{"architectures": ["LlamaFor',
    "deep": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep list": b"[" * 50_000 + b"]" * 50_000,
    "wide": b"[" + b"{}," * 1_000_000 + b"{}]",
    "twice": b'{"architectures": ["LlamaForCausalLM"], "architectures": ["EvilForCausalLM"]}',
    "number": b'{"hidden_size": ' + b"9" * 10_000 + b"}",
    "utf-16": json.dumps(LLAMA).encode("utf-16"),
    "latin-1": b'{"model_type": "\xff"}',
    "list": b"[1, 2]",
    "text": b'"config"',
    "null": b"null",
    "page": b"<html>not found</html>",
}
WRONG = [None, True, -1, 0.5, 1 << 60, "many", [], ["x"], {}, {"a": {}}, "\ud800", "a\nb", "x" * 5000]
SMALL = [
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
]


def told(found: Findings) -> list[str]:
    return [warning.text for warning in found.warnings if warning.code == "metadata.damaged"]


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_config_that_cannot_be_read_is_named_and_makes_no_model(bomb):
    found = find(CHAT | {"config.json": bomb})
    assert found.models == ()
    (text,) = told(found)
    assert text.startswith("config.json: ")
    assert len(text) < 400


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_tokenizers_config_that_cannot_be_read_is_named(bomb):
    found = find(CHAT | {"tokenizer_config.json": bomb})
    (model,) = found.models
    assert model.context_length == 2048
    assert [text.partition(":")[0] for text in told(found)] == ["tokenizer_config.json"]


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_modules_that_cannot_be_read_make_no_model(bomb):
    found = find(EMBEDDER | {"modules.json": bomb})
    assert found.models == ()
    assert all(text.startswith("modules.json: ") for text in told(found))
    assert told(found)


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("name", ["1_Pooling/config.json", "sentence_bert_config.json"])
def test_an_embedders_configs_that_cannot_be_read_are_named(name, bomb):
    found = find(EMBEDDER | {name: bomb})
    assert len(found.models) == 1
    assert all(name in text for text in told(found))
    assert told(found)


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_an_index_that_cannot_be_read_is_named_and_its_variant_left_out(bomb):
    rest = {name: value for name, value in CHAT.items() if name != "model.safetensors"}
    shards = dict.fromkeys([f"model-0000{n}-of-00002.safetensors" for n in (1, 2)], "BF16")
    found = find(rest | shards | {"model.safetensors.index.json": bomb})
    assert found.models == ()
    (text,) = told(found)
    assert text.startswith("model.safetensors.index.json: ")
    assert text.count("model.safetensors.index.json") == 1


@pytest.mark.parametrize(
    "name",
    [
        "../other/model.safetensors",
        "/etc/passwd",
        "a\\b.safetensors",
        "C:/x.safetensors",
        ".git/x.safetensors",
        "pytorch_model.bin",
        "README.md",
        "",
    ],
)
def test_an_index_that_names_what_it_must_not_is_not_followed(name):
    rest = {path: value for path, value in CHAT.items() if path != "model.safetensors"}
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": name}}
    shards = dict.fromkeys([f"model-0000{n}-of-00002.safetensors" for n in (1, 2)], "BF16")
    found = find(rest | shards | {"pytorch_model.bin": None, "model.safetensors.index.json": index})
    # The pickle beside it is only listed, as one.
    assert [variant.format for model in found.models for variant in model.variants] == ["pytorch"]
    assert codes(found)[:1] == ["metadata.damaged"]
    assert "model.safetensors.index.json" in found.warnings[0].text


@pytest.mark.parametrize("index", [{}, {"weight_map": {}}, {"weight_map": []}, {"weight_map": {"a": 1}}])
def test_an_index_of_another_shape(index):
    rest = {path: value for path, value in CHAT.items() if path != "model.safetensors"}
    found = find(
        rest | {"model-00001-of-00001.safetensors": "BF16", "model.safetensors.index.json": index}
    )
    assert found.models == ()
    assert "model.safetensors.index.json" in told(found)[0]


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize(
    "name", [*LLAMA, "quantization_config", "text_config", "auto_map", "torch_dtype"]
)
def test_a_value_of_another_type_in_config_is_passed_over(name, value):
    found = find(CHAT | {"config.json": LLAMA | {name: value}, "model.safetensors": header("BF16")})
    for model in found.models:
        model.model_dump_json()
    for text in told(found):
        assert text.startswith("config.json: ")
        assert name in text
        assert text.isprintable()
    if name == "hidden_size":
        assert bool(told(found)) == (value is not None)


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("path", SMALL)
def test_each_value_of_each_small_file_may_be_anything(path, value):
    whole = {"generation_config.json": {"eos_token_id": 2}} | EMBEDDER
    before = whole[path]
    rows = before if isinstance(before, list) else [before]
    for row in rows:
        for key in row:
            changed = [other | {key: value} if other is row else other for other in rows]
            found = find(whole | {path: changed if isinstance(before, list) else changed[0]})
            for model in found.models:
                model.model_dump_json()
            assert all(
                text.startswith((path, "many/config.json: it is missing")) for text in told(found)
            )


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [1],
        [{}],
        [{"type": None}],
        [{"type": 7, "path": ""}],
        [{"type": "sentence_transformers.models.Transformer", "path": "../up"}],
        [{"type": "sentence_transformers.models.Transformer", "path": "/etc"}],
        [{"type": "sentence_transformers.models.Transformer"}] * 1000,
    ],
    ids=lambda rows: repr(rows)[:60],
)
def test_a_list_of_modules_of_another_shape_makes_no_model(rows):
    found = find(EMBEDDER | {"modules.json": rows})
    assert found.models == ()
    assert told(found)
    assert all(text.startswith("modules.json: ") for text in told(found))


@pytest.mark.parametrize("value", [7, "x" * 5000, [7], {"AutoModel": 7}, {"AutoModel": [["a", [1]]]}])
def test_code_that_is_asked_for_by_something_else_than_a_name(value):
    found = find(CHAT | {"config.json": LLAMA | {"auto_map": value}})
    assert len(found.models) == 1
    assert "remote_code" not in codes(found) or value == {"AutoModel": [["a", [1]]]}
    assert any("auto_map" in text for text in told(found))


def test_a_template_that_is_no_text_or_too_long_is_none():
    found = find(CHAT | {"chat_template.jinja": b"\xff\xfe"})
    assert any("chat_template.jinja" in text for text in told(found))
    assert "chat_template" not in found.models[0].details
    assert "chat_template" not in find(CHAT | {"chat_template.jinja": b"x" * 70_000}).models[0].details


def test_a_text_that_is_too_long_is_none():
    found = find(
        CHAT | {"tokenizer_config.json": {"tokenizer_class": "x" * 301, "chat_template": "{{ m }}"}}
    )
    assert "tokenizer" not in found.models[0].details
    assert "tokenizer_config.json: tokenizer_class" in told(found)[0]
    assert len(told(found)[0]) < 200


def test_half_of_a_character_is_no_text():
    half = {"chat_template": "{{ \ud800 }}"}
    found = find(CHAT | {"tokenizer_config.json": half})
    assert "chat_template" not in found.models[0].details
    assert "tokenizer_config.json" in told(found)[0]
    prompts = {"prompts": {"query": "\udfff: "}}
    found = find(EMBEDDER | {"config_sentence_transformers.json": prompts})
    assert "prompts" not in found.models[0].details
    assert told(found)


def test_a_repository_of_very_many_files_costs_little():
    marks = [f"a{n}" for n in range(20_000)]
    many = dict.fromkeys(f"model.safetensors.index.{mark}.json" for mark in marks)
    many |= dict.fromkeys(f"additional_chat_templates/{mark}.jinja" for mark in marks)
    many |= dict.fromkeys(f"code/{mark}.py" for mark in marks)
    asking = LLAMA | {"auto_map": {"AutoModel": "modeling_x.X"}}
    found = find(CHAT | {"config.json": asking} | many)
    assert [variant.name for variant in found.models[0].variants] == ["bf16"]
    sizes = {part.name: len(part.files) for part in found.models[0].variants[0].components}
    assert (sizes["code"], sizes["tokenizer"]) == (1000, 1000)
    assert len(found.warnings) < 100


def test_only_so_much_is_told_of_one_repository():
    pooling = {f"{n}_Pooling/config.json": [] for n in range(32)}
    rows = [{"type": "sentence_transformers.models.Dense", "path": f"{n}_Pooling"} for n in range(32)]
    found = find(EMBEDDER | pooling | {"modules.json": rows, "config.json": BERT})
    assert len(told(found)) == MAX_TOLD
