"""Repositories for transformers by hand: their small files as values, and headers as they would be read."""

import json
from collections.abc import Mapping
from typing import Any

from modelhub.formats import RangeReader, SafetensorsHeader, read_safetensors
from modelhub.registry.introspect import Findings, Metadata, headers_wanted, introspect
from tests.formats.build import safetensors

from .build import listing

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "dtype": "bfloat16",
    "hidden_size": 64,
    "intermediate_size": 256,
    "max_position_embeddings": 2048,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "vocab_size": 2000,
}
BERT = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": 32,
    "intermediate_size": 64,
    "max_position_embeddings": 512,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "vocab_size": 100,
}
CHAT = {
    "config.json": LLAMA,
    "generation_config.json": {"eos_token_id": 2},
    "tokenizer_config.json": {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": "{{ messages }}",
    },
    "tokenizer.json": {},
    "model.safetensors": "BF16",
}
OURS = "sentence_transformers.models."
EMBEDDER = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": OURS + "Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": OURS + "Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": OURS + "Normalize"},
    ],
    "1_Pooling/config.json": {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True},
    "sentence_bert_config.json": {"max_seq_length": 128, "do_lower_case": False},
    "config_sentence_transformers.json": {
        "prompts": {"query": "query: ", "document": ""},
        "default_prompt_name": None,
    },
    "config.json": BERT,
    "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "model_max_length": 512},
    "tokenizer.json": {},
    "vocab.txt": "",
    "model.safetensors": "F32",
}


def header(dtype: str, elements: int = 1000, **others: int) -> SafetensorsHeader:
    """The header of a file with one tensor of `dtype`; `others` are further ones, by their dtypes."""
    bits = {"F64": 64, "F32": 32, "BF16": 16, "F16": 16, "I64": 64, "I32": 32, "U8": 8, "F8_E4M3": 8}
    tensors, at = {}, 0
    for kind, count in {dtype: elements, **others}.items():
        size = count * bits[kind] // 8
        tensors[kind] = {"dtype": kind, "shape": [count], "data_offsets": [at, at + size]}
        at += size
    return read_safetensors(RangeReader.from_bytes(safetensors(json.dumps(tensors).encode(), at)))


def find(files: Mapping[str, Any], name: str = "Tiny-Chat", **facts: Any) -> Findings:
    """What is found in a repository with these files.

    A JSON value or bytes is what a small file holds; of `.safetensors` and the like, a header or the
    dtype of one; `None` is a file that is there and was not read. `sizes` are those of the files.
    """
    repo = listing(facts.pop("sizes", None) or list(files), name, **facts)
    small, headers = {}, {}
    for path, value in files.items():
        if path.endswith(".safetensors"):
            if value is not None and path in headers_wanted(repo):
                headers[path] = header(value) if isinstance(value, str) else value
        elif isinstance(value, bytes):
            small[path] = value
        elif value is not None:
            small[path] = json.dumps(value).encode()
    return introspect(repo, Metadata(files=small, headers=headers))
