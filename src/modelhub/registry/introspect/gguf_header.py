"""What a GGUF header says of its model, in modelhub's terms.

Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#standardized-key-value-pairs.
A stranger wrote the values, so each is checked before it becomes a fact.
"""

import re
from collections.abc import Iterator

from modelhub.facts import Evidence, JsonDict, JsonValue
from modelhub.formats import GGUFHeader
from modelhub.registry.introspect.architectures import POOLING, assumed_pooling
from modelhub.registry.introspect.base import FROM_HEADER

__all__ = [
    "embedding_details",
    "header_evidence",
    "model_details",
    "plain_architecture",
    "plausible",
    "role_by_header",
]

MAX_TEMPLATE = 64 << 10
MAX_TEXT = 300

_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.IGNORECASE)
_ROLES = {"adapter": "adapter", "mmproj": "projector", "imatrix": "importance matrix"}

_DETAILS = {
    "layers": "block_count",
    "embedding_length": "embedding_length",
    "feed_forward_length": "feed_forward_length",
    "heads": "attention.head_count",
    "kv_heads": "attention.head_count_kv",
    "key_length": "attention.key_length",
    "value_length": "attention.value_length",
    "kv_lora_rank": "attention.kv_lora_rank",
    "rope_length": "rope.dimension_count",
    "key_length_mla": "attention.key_length_mla",
    "value_length_mla": "attention.value_length_mla",
    "key_length_swa": "attention.key_length_swa",
    "value_length_swa": "attention.value_length_swa",
    "sliding_window": "attention.sliding_window",
    "sliding_window_pattern": "attention.sliding_window_pattern",
    "shared_kv_layers": "attention.shared_kv_layers",
    "nextn_layers": "nextn_predict_layers",
    "full_attention_interval": "full_attention_interval",
    "ssm_conv": "ssm.conv_kernel",
    "ssm_inner": "ssm.inner_size",
    "ssm_state": "ssm.state_size",
    "ssm_groups": "ssm.group_count",
    "shortconv_cache": "shortconv.l_cache",
    "wkv_head_size": "wkv.head_size",
    "token_shifts": "token_shift_count",
    "experts": "expert_count",
    "experts_used": "expert_used_count",
}
"""Names of `Model.details` and the hyperparameters they come from."""


def plausible(number: int | None, most: int = 1 << 53) -> int | None:
    """A number that a database and JSON can hold, else `None`."""
    return number if number is not None and number <= most else None


def plain_architecture(header: GGUFHeader | None) -> str | None:
    """The architecture, if it is a word."""
    name = header.architecture if header else None
    return name if name and _ARCHITECTURE.fullmatch(name) else None


def role_by_header(header: GGUFHeader | None) -> str | None:
    """What the file is, when it is not a model that runs by itself."""
    if header is None:
        return None
    if role := _ROLES.get(header.text("general.type") or ""):
        return role
    if header.architecture == "clip":
        return "projector"
    return "vocabulary" if not header.tensors and header.split_count == 1 else None


def model_details(header: GGUFHeader) -> JsonDict:
    """What runtimes and estimates need: sizes, the chat template, how it pools.

    A hyperparameter that differs from layer to layer is a list with an entry a layer, 1 for yes and 0
    for no. What a header leaves out of the attention's sizes is filled in as llama.cpp does.
    """
    found = {name: _hyperparameter(header, key) for name, key in _DETAILS.items()}
    _fill_in(found)
    tokens = header.length("tokenizer.ggml.tokens")
    found["vocabulary_size"] = plausible(
        header.hyperparameter("vocab_size") if tokens is None else tokens
    )
    found["tokenizer"] = _short(header.text("tokenizer.ggml.model"))
    found["pooling"] = POOLING.get(header.hyperparameter("pooling_type") or 0)
    template = header.chat_template
    found["chat_template"] = template if template and len(template) <= MAX_TEMPLATE else None
    return {name: value for name, value in found.items() if value is not None}


def embedding_details(header: GGUFHeader) -> JsonDict:
    """What an embedder's details have besides: numbers in a vector, tokens of one text."""
    found: JsonDict = {
        "pooling": POOLING.get(
            header.hyperparameter("pooling_type") or 0, assumed_pooling(header.architecture)
        ),
        "dimensions": plausible(
            header.hyperparameter("dense_3_feat_out")
            or header.hyperparameter("embedding_length_out")
            or header.hyperparameter("embedding_length")
        ),
        "max_input": plausible(header.context_length),
    }
    return {name: value for name, value in found.items() if value is not None}


def header_evidence(subject: str, path: str, header: GGUFHeader) -> Iterator[Evidence]:
    """What the header of `path` says, as statements about `subject`."""
    said: dict[str, tuple[JsonValue, str]] = {
        "architecture": (_short(header.architecture), "general.architecture"),
        "context_length": (plausible(header.context_length), f"{header.architecture}.context_length"),
        "license": (_short(header.text("general.license")), "general.license"),
        "chat_template": (header.chat_template is not None, "tokenizer.chat_template"),
    }
    if header.split_count == 1:
        said["parameters"] = (plausible(header.parameters), "tensor table")
    for key, (value, source) in said.items():
        if value is not None:
            evidence = f"{path}: {source}"
            yield Evidence(subject=subject, key=key, value=value, evidence=evidence, trust=FROM_HEADER)


def _fill_in(found: dict[str, JsonValue]) -> None:
    heads, width = found["heads"], found["embedding_length"]
    found["kv_heads"] = heads if found["kv_heads"] is None else found["kv_heads"]
    if isinstance(heads, int) and isinstance(width, int) and heads:
        for length in ("key_length", "value_length"):
            found[length] = width // heads if found[length] is None else found[length]


def _hyperparameter(header: GGUFHeader, key: str) -> JsonValue:
    value = header.metadata.get(f"{header.architecture}.{key}")
    if isinstance(value, tuple):
        whole = [item for item in value if isinstance(item, int) and 0 <= item <= 1 << 53]
        return list(map(int, whole)) if whole and len(whole) == len(value) else None
    return plausible(header.hyperparameter(key))


def _short(text: str | None) -> str | None:
    return text if text and len(text) <= MAX_TEXT and text.isprintable() else None
