"""Writes a Hugging Face repository of the BERT architecture as GGUF, as llama.cpp's own converter does.

The tokenizer is llama.cpp's `bert`, which marks the begin of a word where WordPiece marks what follows it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import PoolingType, TokenType
from safetensors.numpy import load_file

from .gguf_writer import KINDS, Array, add_tensor, finish

POOLING = {"mean": PoolingType.MEAN, "cls": PoolingType.CLS, "lasttoken": PoolingType.LAST}

WORD = "\u2581"
"""What llama.cpp puts before a piece that begins a word."""

ALWAYS_F32 = ("position_embd.weight", "token_types.weight")
"""Matrices that are only added: the engine wants them unrounded."""


def write_bert_gguf(repository: Path, target: Path, precision: str, *, pooling: str) -> Path:
    """Writes the repository as one GGUF file; returns it.

    `precision` is a key of KINDS, `pooling` one of POOLING. The same repository gives the same bytes each time.
    """
    config = read_json(repository / "config.json")
    file_type, kind = KINDS[precision]
    writer = gguf.GGUFWriter(target, "bert")
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_description(writer)
    add_architecture(writer, config)
    writer.add_pooling_type(POOLING[pooling])
    add_tokenizer(writer, repository)
    for name, tensor in tensors(repository, config["num_hidden_layers"]):
        rounded = tensor.ndim > 1 and name not in ALWAYS_F32
        add_tensor(writer, name, tensor, kind if rounded else Kind.F32)
    (path,) = finish(writer, target)
    return path


def read_json(path: Path) -> dict[str, Any]:
    """The file's object."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def tensors(repository: Path, layers: int) -> Iterator[tuple[str, Array]]:
    """Each tensor under its GGUF name, float32; without BERT's pooler, which embeddings have no use for."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, layers)
    for theirs, tensor in load_file(repository / "model.safetensors").items():
        if theirs.startswith("pooler."):
            continue
        ours = names.get_name(theirs, try_suffixes=(".weight", ".bias"))
        if ours is None:
            raise ValueError(f"{theirs} is not a tensor of the BERT architecture")
        yield ours, tensor.astype(np.float32)


def add_description(writer: gguf.GGUFWriter) -> None:
    """Who the model is."""
    writer.add_type("model")
    writer.add_name("Tiny Embed")
    writer.add_organization("Zoo")
    writer.add_basename("tiny-embed")
    writer.add_size_label("0.4M")
    writer.add_license("apache-2.0")
    writer.add_tags(["sentence-transformers", "sentence-similarity", "feature-extraction"])
    writer.add_languages(["en"])


def add_architecture(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    """The numbers an engine needs to build the graph."""
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_vocab_size(config["vocab_size"])


def add_tokenizer(writer: gguf.GGUFWriter, repository: Path) -> None:
    """WordPiece's vocabulary with the begins of words marked, and its special tokens."""
    source = read_json(repository / "tokenizer.json")
    special = {token["content"] for token in source["added_tokens"] if token["special"]}
    vocabulary: dict[str, int] = source["model"]["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    writer.add_token_type_count(read_json(repository / "config.json")["type_vocab_size"])
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("bert-bge")
    writer.add_token_list([token if token in special else marked(token) for token in tokens])
    writer.add_token_types([TokenType.CONTROL if t in special else TokenType.NORMAL for t in tokens])
    known = ("bos", "eos", "unk", "sep", "pad", "mask")
    found = gguf.SpecialVocab(repository, special_token_types=known, n_vocab=len(tokens))
    found.add_to_gguf(writer, quiet=True)


def marked(token: str) -> str:
    """A piece as llama.cpp has it: what follows within a word is bare, what begins one is marked."""
    return token.removeprefix("##") if token.startswith("##") else WORD + token
