"""What `generation_config.json` says of how a model writes where nobody says otherwise.

Names: `transformers/generation/configuration_utils.py: GenerationConfig`; those of Whisper's languages and
tasks: `transformers/models/whisper/generation_whisper.py`.
"""

from typing import Any

from modelhub.facts import JsonDict
from modelhub.registry.introspect.documents import Documents, Fields, is_plain
from modelhub.registry.introspect.weights import inside

__all__ = ["GENERATION", "generation_details"]

GENERATION = "generation_config.json"

MAX_IDS = 1000
MAX_NAMED = 500
MAX_PAIRS = 500

_FLAGS = ("do_sample", "early_stopping", "is_multilingual", "return_timestamps", "use_cache")
_WHOLE = (
    "bos_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "max_initial_timestamp_index",
    "max_length",
    "max_new_tokens",
    "min_length",
    "min_new_tokens",
    "no_repeat_ngram_size",
    "no_timestamps_token_id",
    "num_beams",
    "pad_token_id",
    "prev_sot_token_id",
    "top_k",
)
_NUMBERS = {
    "guidance_scale": 100.0,
    "length_penalty": 100.0,
    "min_p": 1.0,
    "presence_penalty": 100.0,
    "repetition_penalty": 100.0,
    "temperature": 100.0,
    "top_p": 1.0,
    "typical_p": 1.0,
}
"""From 0 to this."""
_IDS = ("begin_suppress_tokens", "eos_token_id", "forced_eos_token_id", "suppress_tokens")
"""A token's number, or several."""
_NAMED = ("lang_to_id", "task_to_id")
_PAIRS = ("alignment_heads", "forced_decoder_ids")


def generation_details(documents: Documents, folder: str) -> JsonDict:
    """Its settings by the names that transformers has for them; nothing without the file.

    Numbers of tokens are lists where there may be several. What is out of its range is passed over, and told.
    """
    config = documents.fields(inside(folder, GENERATION))
    found: dict[str, Any] = {name: config.flag(name) for name in _FLAGS}
    found |= {name: config.whole(name) for name in _WHOLE}
    found |= {name: config.number(name, most=most) for name, most in _NUMBERS.items()}
    found |= {name: _ids(config, name) for name in _IDS}
    found |= {name: _named(config, name) for name in _NAMED}
    found |= {name: _pairs(config, name) for name in _PAIRS}
    return {name: value for name, value in found.items() if value is not None}


def _ids(config: Fields, name: str) -> list[int] | None:
    value = config.values.get(name)
    if value is None:
        return None
    several = value if isinstance(value, list) else [value]
    # Whisper's -1 stands for all tokens that are no words, which only its tokenizer knows.
    if len(several) <= MAX_IDS and all(_is_id(each) or each == -1 for each in several):
        return [each for each in several if each != -1] or None
    config.wrong(name, f"a token's number, or a list of at most {MAX_IDS:,}")
    return None


def _named(config: Fields, name: str) -> dict[str, int] | None:
    values = config.object(name).values
    if not values:
        return None
    fits = all(len(each) <= 100 and is_plain(each) and _is_id(values[each]) for each in values)
    if fits and len(values) <= MAX_NAMED:
        return dict(values)
    config.wrong(name, f"at most {MAX_NAMED} numbers of tokens by name")
    return None


def _pairs(config: Fields, name: str) -> list[list[int | None]] | None:
    values = config.values.get(name)
    if values is None:
        return None
    if isinstance(values, list) and len(values) <= MAX_PAIRS and all(map(_is_pair, values)):
        return [list(each) for each in values]
    config.wrong(name, f"a list of at most {MAX_PAIRS} pairs of numbers")
    return None


def _is_pair(value: Any) -> bool:
    pair = isinstance(value, list) and len(value) == 2
    return pair and _is_id(value[0]) and (value[1] is None or _is_id(value[1]))


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 31
