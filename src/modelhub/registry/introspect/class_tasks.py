"""Which task a transformers model serves: by its list of modules, then by its class, then by its card."""

from modelhub.facts import RepoListing
from modelhub.registry.introspect.architectures import CHAT, EMBED, RANK, TaskFinding, said_task
from modelhub.registry.introspect.base import FROM_CONFIG
from modelhub.registry.introspect.documents import Fields
from modelhub.registry.introspect.embedding import MODULES

__all__ = ["find_task_of"]

_DECODERS = ("ForCausalLM", "LMHeadModel")
_ENCODERS = frozenset(
    [
        "albert",
        "bert",
        "camembert",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "eurobert",
        "modernbert",
        "mpnet",
        "nomic_bert",
        "roberta",
        "xlm-roberta",
    ]
)
"""By `model_type`: without a head, they are there for their vectors."""


def find_task_of(
    config: Fields, listing: RepoListing, *, modules: bool, template: bool
) -> TaskFinding | None:
    """The task of a model with this `config.json`; `None` where nothing says it.

    `modules` is whether it lists the modules of a sentence embedder, `template` whether it has a
    chat template.
    """
    if modules:
        return TaskFinding(EMBED, MODULES, FROM_CONFIG)
    said = said_task(listing)
    for name in config.texts("architectures"):
        if name.endswith(_DECODERS):
            # Decoders are trained to embed and to rank too, and keep the name of their class.
            if said and said.task in (EMBED, RANK) and not template:
                return said
            return TaskFinding(CHAT, f"config.json: architectures: {name}", FROM_CONFIG)
        if name.endswith("Model") and config.text("model_type") in _ENCODERS:
            return TaskFinding(EMBED, f"config.json: architectures: {name}", FROM_CONFIG)
    return said
