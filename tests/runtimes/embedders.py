"""Embedders on both runtimes of llama.cpp, and how far apart their vectors are."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from modelhub.facts import Call
from modelhub.runtimes import Bundle, Instance, Runtime
from modelhub.runtimes.llama_cpp import LlamaCppRuntime
from modelhub.runtimes.llama_server import LlamaServerRuntime
from modelhub.runtimes.testing import Subject
from modelhub.tasks import EmbedResult, embed_request

RUNTIMES: Mapping[str, type[Runtime]] = {
    "llama_cpp": LlamaCppRuntime,
    "llama_server": LlamaServerRuntime,
}
NOISE = 2e-4
"""How far apart two unit vectors of one text may point: batches of other sizes add up in another order."""


def subject(name: str, found: Bundle, **options: object) -> Subject:
    return Subject(RUNTIMES[name](), found, {"n_threads": 1, **options})


def embed(instance: Instance, *texts: str, **params: Any) -> EmbedResult:
    result = instance.infer(embed_request(texts, **params), Call())
    assert isinstance(result, EmbedResult)
    return result


def apart(one: Any, other: Any) -> float:
    """1 minus the least cosine of two rows."""
    cosines = np.sum(one * other, axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return float(1 - cosines.min())
