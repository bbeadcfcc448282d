"""What `adapter_config.json` says of an adapter, in modelhub's terms.

Names: `peft.config`: PeftConfig, and the configurations of its kinds in `peft.tuners`.
"""

import math
import re
from collections.abc import Mapping

from modelhub.facts import JsonDict, JsonValue, RepoListing
from modelhub.registry.introspect.architectures import CHAT, TaskFinding, said_task
from modelhub.registry.introspect.base import FROM_CARD, FROM_CONFIG
from modelhub.registry.introspect.documents import Fields
from modelhub.tasks import TASKS

__all__ = ["ASSUMED", "adapter_details", "find_adapter_task"]

MAX_MODULES = 64
"""So many names of target modules are kept, and how many there are."""
ASSUMED = "assumed"

_WORD = re.compile(r"[A-Z][A-Z0-9_]{0,39}", re.ASCII)
_TASKS: Mapping[str, str] = {
    "CAUSAL_LM": CHAT,
    "FEATURE_EXTRACTION": "feature-extraction",
    "QUESTION_ANS": "question-answering",
    "SEQ_2_SEQ_LM": "text2text-generation",
    "SEQ_CLS": "text-classification",
    "TOKEN_CLS": "token-classification",
}
"""`peft.utils.peft_types`: TaskType, by the pipeline tag that it means."""
_OURS = frozenset(task.id for task in TASKS)


def adapter_details(config: Fields) -> JsonDict:
    """Kind, rank, alpha, what it is added to, and the task; what is not known is left out."""
    found: dict[str, JsonValue] = {
        "peft_type": _word(config, "peft_type"),
        "task_type": _word(config, "task_type"),
        "r": config.whole("r"),
        "lora_alpha": _number(config, "lora_alpha"),
        **_modules(config),
    }
    return {name: value for name, value in found.items() if value is not None}


def find_adapter_task(details: JsonDict, config: Fields, listing: RepoListing) -> TaskFinding | None:
    """The task by configuration, then by card; `None` for one that is none of modelhub's.

    Where nothing says it, one is assumed until the base is known, by the library.
    """
    if stated := details.get("task_type"):
        task = _TASKS.get(str(stated))
        if task in _OURS:
            return TaskFinding(str(task), f"{config.name}: task_type: {stated}", FROM_CONFIG)
        return said_task(listing)
    if said := said_task(listing):
        return said
    if listing.pipeline_tag:
        return None
    return TaskFinding(CHAT if config.name else "text-to-image", ASSUMED, FROM_CARD)


def _word(config: Fields, name: str) -> str | None:
    text = config.text(name)
    if text is not None and not _WORD.fullmatch(text):
        config.wrong(name, "a word in capitals")
        return None
    return text


def _number(config: Fields, name: str) -> int | float | None:
    """A number as people write it: whole, where it is."""
    value = config.values.get(name)
    if value is None:
        return None
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > 1 << 53:
        config.wrong(name, "a number")
        return None
    return int(value) if value == int(value) else float(value)


def _modules(config: Fields) -> dict[str, JsonValue]:
    """A list of names, or a pattern that names them."""
    if isinstance(config.values.get("target_modules"), str):
        return {"target_modules": config.text("target_modules")}
    names = sorted(set(config.texts("target_modules")))
    if not names:
        return {}
    found: dict[str, JsonValue] = {"target_modules": list[JsonValue](names[:MAX_MODULES])}
    return found | ({"target_modules_count": len(names)} if len(names) > MAX_MODULES else {})
