"""What the sentence-transformers library wrote of what a model is for: to embed, or to judge pairs of texts.

Since 5.0 it says so in `config_sentence_transformers.json` (`model_type`); a cross-encoder of version 4 has
the object `sentence_transformers` in its `config.json`, an older one at most its activation
(`sentence_transformers/cross_encoder/model.py`; before 5.4 `CrossEncoder.py`). Without any of that, a
classifier with one class is one where its repository's name or its card says so: a single class tells nothing
apart, and the pipeline tag of such models is `text-classification` as often as not (`BAAI/bge-reranker-v2-m3`).
"""

from modelhub.facts import JsonDict
from modelhub.registry.introspect.architectures import EMBED, RANK, TaskFinding
from modelhub.registry.introspect.base import FROM_CARD, FROM_CONFIG, FROM_NAME
from modelhub.registry.introspect.class_tasks import JUDGE, count_labels
from modelhub.registry.introspect.documents import Documents, Fields
from modelhub.registry.introspect.embedding import MODULES, Modules

__all__ = ["library_task", "ranking_details"]

SETTINGS = "config_sentence_transformers.json"

_OLD_ACTIVATION = "sbert_ce_default_activation_function"
_SPARSE = frozenset(["MLMTransformer", "SparseAutoEncoder", "SparseStaticEmbedding", "SpladePooling"])
_TAGS = frozenset(["cross-encoder", "reranker"])
_NAME = "reranker"
_MENTION = b"CrossEncoder("


def library_task(documents: Documents, modules: Modules, config: Fields) -> TaskFinding | None:
    """The task that sentence-transformers uses a model for; `None` where it has written nothing."""
    kind = documents.fields(SETTINGS).text("model_type")
    if kind == "CrossEncoder":
        return _judging(config, f"{SETTINGS}: model_type: {kind}")
    if config.object("sentence_transformers") or config.text(_OLD_ACTIVATION):
        return _judging(config, f"{config.name}: written by sentence-transformers' CrossEncoder")
    if kind == "SparseEncoder" or any(step.type in _SPARSE for step in modules.steps):
        return TaskFinding(EMBED, MODULES, FROM_CONFIG, "sparse-embedding")
    if modules.steps:
        return TaskFinding(EMBED, MODULES, FROM_CONFIG)
    if not (_classifies(config) and count_labels(config) == 1):
        return None
    return _by_name(documents, config) or _by_card(documents, config)


def ranking_details(documents: Documents, config: Fields) -> JsonDict:
    """How many scores a pair of texts gets, and what they go through: a class of `torch.nn`, in lower case."""
    labels = count_labels(config)
    stated = (
        documents.fields(SETTINGS).text("activation_fn"),
        config.object("sentence_transformers").text("activation_fn"),
        config.text(_OLD_ACTIVATION),
    )
    # What the library takes where nothing is stated: a probability for one score, several as they are.
    assumed = "Sigmoid" if labels == 1 else "Identity"
    activation = next(filter(None, stated), assumed).rpartition(".")[2].lower()
    details: JsonDict = {"activation": activation}
    return details | ({"num_labels": labels} if labels else {})


def _judging(config: Fields, evidence: str) -> TaskFinding:
    """One score is a rank; several are classes. A classifier that does not say how many has two."""
    labels = count_labels(config) or (2 if _classifies(config) else 1)
    return TaskFinding(RANK if labels == 1 else JUDGE, evidence, FROM_CONFIG)


def _by_name(documents: Documents, config: Fields) -> TaskFinding | None:
    name = documents.listing.repo.name
    if _NAME not in name.lower():
        return None
    return TaskFinding(RANK, f"repository name: {_NAME}; {config.name}: one class", FROM_NAME)


def _by_card(documents: Documents, config: Fields) -> TaskFinding | None:
    listing = documents.listing
    if listing.library_name == "sentence-transformers":
        why = "library_name: sentence-transformers"
    elif tags := sorted(_TAGS.intersection(listing.tags)):
        why = f"tags: {tags[0]}"
    elif _MENTION in documents.metadata.files.get("README.md", b""):
        why = "it shows a CrossEncoder"
    else:
        return None
    return TaskFinding(RANK, f"card: {why}; {config.name}: one class", FROM_CARD)


def _classifies(config: Fields) -> bool:
    return any(name.endswith("ForSequenceClassification") for name in config.texts("architectures"))
