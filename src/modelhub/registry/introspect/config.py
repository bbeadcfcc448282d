"""What `config.json` and the tokenizer's configuration say of a model, in modelhub's terms.

Each family of models spells the same thing its own way. Names: `attribute_map` and the
configurations in `transformers.models`.
"""

import re

from modelhub.facts import JsonDict, JsonValue
from modelhub.registry.introspect.documents import Documents, Fields, is_plain
from modelhub.registry.introspect.weights import inside

__all__ = [
    "architecture",
    "chat_template",
    "context_length",
    "model_config",
    "model_details",
    "task_details",
    "tokenizer_limit",
]

MAX_TEMPLATE = 64 << 10
MAX_LABELS = 2000
MAX_LABEL = 200

_WITH_LABELS = frozenset(
    [
        "audio-classification",
        "image-classification",
        "image-segmentation",
        "object-detection",
        "text-classification",
        "token-classification",
        "video-classification",
        "zero-shot-classification",
    ]
)

_CONTEXT = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "max_seq_len",
    "seq_length",
    "n_ctx",
    "context_length",
    "max_seq_length",
    "model_max_length",
)
_SIZES = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers"),
    "embedding_length": ("hidden_size", "n_embd", "d_model", "dim", "emb_dim"),
    "kv_lora_rank": ("kv_lora_rank",),
    "experts": ("num_experts", "num_local_experts", "n_routed_experts"),
    "experts_used": ("num_experts_per_tok", "moe_topk"),
    "vocabulary_size": ("vocab_size",),
}
_BY_LAYER = {
    "feed_forward_length": ("intermediate_size", "n_inner", "ffn_dim", "d_ff", "ffn_hidden_size"),
    "heads": (
        "num_attention_heads",
        "n_head",
        "n_heads",
        "num_heads",
        "attention_heads",
        "decoder_attention_heads",
    ),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv"),
    "key_length": ("head_dim", "d_kv"),
    "value_length": ("v_head_dim",),
}
"""Names of `Model.details`, as of GGUF models, and their spellings; what may differ from layer to layer."""

_WORD = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.IGNORECASE)


def model_config(documents: Documents, folder: str) -> Fields | None:
    """`config.json`; what it lacks is looked for in its part for text, where it has one.

    `None` where there is none that can be read, which is told.
    """
    path = inside(folder, "config.json")
    whole = documents.fields(path)
    if not isinstance(documents.json(path), dict):
        if path not in documents.listing.by_path:
            documents.tell(f"{path}: it is missing")
        return None
    return Fields(whole.name, whole.values, documents.tell, more=whole.object("text_config"))


def architecture(config: Fields) -> str | None:
    """`model_type`, if it is a word: `llama`, `bert` …"""
    name = config.text("model_type")
    return name if name and _WORD.fullmatch(name) else None


def context_length(config: Fields) -> int | None:
    """Tokens that the model was made for."""
    return config.whole(*_CONTEXT) or None


def model_details(config: Fields, tokenizer: Fields) -> JsonDict:
    """What runtimes and estimates need; what is not known is left out.

    What differs from layer to layer is a list with an entry a layer.
    """
    found: dict[str, JsonValue] = {name: config.whole(*names) for name, names in _SIZES.items()}
    found |= {name: config.whole_or_list(*names) for name, names in _BY_LAYER.items()}
    _fill_in(found)
    if config.flag("use_sliding_window") is not False:
        found["sliding_window"] = config.whole("sliding_window")
    found["model_class"] = next(iter(config.texts("architectures")), None)
    found["tokenizer"] = tokenizer.text("tokenizer_class")
    return {name: value for name, value in found.items() if value is not None}


def task_details(task: str, config: Fields) -> JsonDict:
    """Of a model that tells classes apart, what they are called: by their number, as text."""
    labels = config.object("id2label").values if task in _WITH_LABELS else {}
    if not labels:
        return {}
    named: JsonDict = {
        name: text
        for name, text in labels.items()
        if name.isdecimal() and isinstance(text, str) and len(text) <= MAX_LABEL and is_plain(text)
    }
    if len(named) != len(labels) or len(named) > MAX_LABELS:
        config.wrong("id2label", f"at most {MAX_LABELS:,} numbered names of {MAX_LABEL} characters")
        return {"num_labels": len(labels)}
    return {"id2label": named, "num_labels": len(named)}


def chat_template(documents: Documents, folder: str, tokenizer: Fields) -> str | None:
    """The Jinja source that turns messages into a prompt: of a file of its own, else the tokenizer's.

    `chat_template.json` is of processors, which no tokenizer reads. A template that is longer than
    64 KiB is none.
    """
    data = documents.metadata.files.get(inside(folder, "chat_template.jinja"))
    if data is not None:
        return _template(documents, inside(folder, "chat_template.jinja"), data)
    several = tokenizer.values.get("chat_template")
    if isinstance(several, list):
        return _default_of(several, tokenizer, documents)
    return tokenizer.text("chat_template", most=MAX_TEMPLATE)


def tokenizer_limit(tokenizer: Fields) -> int | None:
    """Tokens of one text, by the tokenizer's configuration; one without a limit says 1e30."""
    limit = tokenizer.values.get("model_max_length")
    return limit if type(limit) is int and 0 < limit < 1 << 31 else None


def _template(documents: Documents, path: str, data: bytes) -> str | None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        documents.tell(f"{path}: it is no text: {error}")
        return None
    return text if len(text) <= MAX_TEMPLATE else None


def _default_of(several: list[object], tokenizer: Fields, documents: Documents) -> str | None:
    for each in several:
        if isinstance(each, dict):
            named = Fields(f"{tokenizer.name}: chat_template", each, documents.tell)
            if named.text("name") == "default":
                return named.text("template", most=MAX_TEMPLATE)
    return None


def _fill_in(found: dict[str, JsonValue]) -> None:
    """As transformers does for what is left out of the attention's sizes."""
    heads, width = found["heads"], found["embedding_length"]
    found["kv_heads"] = heads if found["kv_heads"] is None else found["kv_heads"]
    if isinstance(heads, int) and isinstance(width, int) and heads:
        found["key_length"] = found["key_length"] or width // heads
        found["value_length"] = found["value_length"] or found["key_length"]
