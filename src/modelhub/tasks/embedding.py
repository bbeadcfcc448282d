"""Embeddings: texts in, a vector each out.

Parameters are named as in `huggingface_hub.InferenceClient.feature_extraction`.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from modelhub.errors import InvalidInput
from modelhub.facts.arrays import Array, ArrayFact
from modelhub.tasks.base import WHOLE, Request, Result, build_request
from modelhub.tasks.text import Usage

TextInput = str | Iterable[str]

MAX_TEXTS = 65_536


class EmbedRequest(Request):
    """Texts to turn into vectors, and how."""

    texts: tuple[Annotated[str, Field(min_length=1), WHOLE], ...] = Field(
        min_length=1,
        max_length=MAX_TEXTS,
        description=f"Pass a text, or a list of 1 to {MAX_TEXTS} of them; none may be empty.",
    )
    normalize: bool | None = Field(
        None, description="Whether vectors get length 1; None is as the repository says."
    )
    truncate: bool = Field(
        False, description="Whether a text longer than the model takes is cut; else it is refused."
    )
    prompt_name: Annotated[str, WHOLE] | None = Field(
        None,
        description="One of the repository's own prompts, put before each text; None is its default.",
    )


class EmbedResult(ArrayFact, Result):
    """A vector a text, in their order.

    `vectors` is a float32 numpy array of shape (texts, dimensions), read-only; in JSON a list of lists.
    `usage` counts the tokens that were read.
    """

    vectors: Array("float32", 2)  # type: ignore[valid-type]
    usage: Usage


def embed_request(texts: TextInput, **params: Any) -> EmbedRequest:
    """A checked request from a text or several.

    Raises:
        InvalidInput: for no texts, an empty one, half a character, something else than text, an
            unknown parameter.
    """
    if isinstance(texts, str):
        texts = (texts,)
    if isinstance(texts, Mapping | bytes) or not isinstance(texts, Iterable):
        raise InvalidInput(
            f"texts must be a text or a list of texts, not {type(texts).__name__}",
            hint="Pass 'a text', or ['several', 'texts'].",
            field="texts",
        )
    return build_request(EmbedRequest, texts=tuple(texts), **params)
