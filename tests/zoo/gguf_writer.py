"""Writes a Hugging Face repository of the Llama architecture as GGUF, with numpy alone.

The format is ggml's: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. What a file holds beside its tensors
(names, licence, tokenizer, chat template) is what llama.cpp's own converter puts there.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import LlamaFileType, TokenType
from numpy.typing import NDArray
from safetensors.numpy import load_file

Array = NDArray[Any]

KINDS = {
    "f32": (LlamaFileType.ALL_F32, Kind.F32),
    "f16": (LlamaFileType.MOSTLY_F16, Kind.F16),
    "q8_0": (LlamaFileType.MOSTLY_Q8_0, Kind.Q8_0),
    "q4_0": (LlamaFileType.MOSTLY_Q4_0, Kind.Q4_0),
}
"""What this module can write: the file's declared type, and the type of its matrices (vectors stay float32)."""


@dataclass(frozen=True)
class Repository:
    """A transformers repository of the Llama architecture, read but for its weights."""

    folder: Path
    config: dict[str, Any]
    tokenizer: dict[str, Any]
    chat_template: str

    @classmethod
    def read(cls, folder: Path) -> "Repository":
        """The repository in the folder."""
        names = ("config.json", "tokenizer.json", "chat_template.jinja")
        config, tokenizer, chat_template = (
            (folder / name).read_text(encoding="utf-8") for name in names
        )
        return cls(folder, json.loads(config), json.loads(tokenizer), chat_template)

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """Each tensor under its GGUF name, float32, rows as ggml's rotary embedding wants them."""
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, self.config["num_hidden_layers"])
        for theirs, tensor in load_file(self.folder / "model.safetensors").items():
            ours = names.get_name(theirs, try_suffixes=(".weight",))
            if ours is None:
                raise ValueError(f"{theirs} is not a tensor of the Llama architecture")
            yield ours, self.rotary_order(theirs, tensor.astype(np.float32))

    def rotary_order(self, name: str, tensor: Array) -> Array:
        """Query and key rows, from transformers' halves (all cosines, then all sines) to ggml's pairs."""
        count = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}.get(
            name.split(".")[-2]
        )
        if count is None:
            return tensor
        halves = tensor.reshape(self.config[count], 2, -1, tensor.shape[1])
        return halves.swapaxes(1, 2).reshape(tensor.shape)


def write_gguf(repository: Path, target: Path, precision: str, *, shards: int = 1) -> list[Path]:
    """Writes the repository as one GGUF file, or as several named `…-00001-of-0000N.gguf`; returns the files.

    `precision` is a key of KINDS. The same repository gives the same bytes each time.
    """
    source = Repository.read(repository)
    file_type, kind = KINDS[precision]
    tensors = list(source.tensors())
    a_shard = -(-len(tensors) // shards) if shards > 1 else 0
    writer = gguf.GGUFWriter(target, "llama", split_max_tensors=a_shard)
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_description(writer)
    add_architecture(writer, source.config)
    add_tokenizer(writer, source)
    for name, tensor in tensors:
        add_tensor(writer, name, tensor, kind if tensor.ndim > 1 else Kind.F32)
    return finish(writer, target)


def add_description(writer: gguf.GGUFWriter) -> None:
    """Who the model is."""
    writer.add_type("model")
    writer.add_name("Tiny Chat")
    writer.add_organization("Zoo")
    writer.add_basename("tiny-chat")
    writer.add_size_label("1.3M")
    writer.add_license("apache-2.0")
    writer.add_tags(["text-generation"])
    writer.add_languages(["en"])


def add_architecture(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    """The numbers an engine needs to build the graph."""
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_vocab_size(config["vocab_size"])


def add_tokenizer(writer: gguf.GGUFWriter, source: Repository) -> None:
    """The byte-level BPE tokenizer, its special tokens and the chat template."""
    model = source.tokenizer["model"]
    special = {token["content"] for token in source.tokenizer["added_tokens"] if token["special"]}
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    types = [TokenType.CONTROL if token in special else TokenType.NORMAL for token in tokens]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(source.config["bos_token_id"])
    writer.add_eos_token_id(source.config["eos_token_id"])
    writer.add_pad_token_id(source.config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(source.chat_template)


def add_tensor(writer: gguf.GGUFWriter, name: str, tensor: Array, kind: Kind) -> None:
    """One tensor, rounded to the kind."""
    writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)


def finish(writer: gguf.GGUFWriter, target: Path) -> list[Path]:
    """Writes everything out; the files, in their order."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return list(writer.format_shard_names(target))
