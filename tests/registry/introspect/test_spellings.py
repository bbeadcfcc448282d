"""Every family of models spells its sizes its own way; transformers knows which means what."""

import json

import pytest

from .repos import CHAT, find

transformers = pytest.importorskip("transformers", reason="what knows the spellings is not installed")

DETAILS = {
    "layers": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "heads": "num_attention_heads",
    "vocabulary_size": "vocab_size",
}
FAMILIES = [
    "bart",
    "bloom",
    "codegen",
    "cohere2",
    "deepseek_v3",
    "falcon",
    "gemma3_text",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neox",
    "gpt_oss",
    "granite",
    "llama",
    "mistral",
    "mixtral",
    "mpt",
    "olmo2",
    "opt",
    "phi3",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "stablelm",
    "starcoder2",
    "xglm",
]


@pytest.mark.parametrize("family", FAMILIES)
def test_sizes_are_what_transformers_takes_them_for(family):
    config = transformers.AutoConfig.for_model(family)
    written = json.loads(config.to_json_string(use_diff=False))
    found = find(CHAT | {"config.json": written | {"architectures": ["AnyForCausalLM"]}})
    (model,) = found.models
    assert found.warnings == ()
    assert model.architecture == family
    assert {name: model.details.get(name) for name in DETAILS} == {
        name: getattr(config, attribute) for name, attribute in DETAILS.items()
    }
    if context := getattr(config, "max_position_embeddings", None):
        assert model.context_length == context
