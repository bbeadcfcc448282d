"""How a model is loaded."""

from typing import Literal

from pydantic import Field

from modelhub.errors import InvalidInput
from modelhub.facts import Fact

DEFAULT_CONTEXT = 8192
"""Tokens. Keys and values take memory with each token, and a model's own limit (131,072 and more) can
take more of it than its weights.
"""


class TransformersOptions(Fact):
    """What is not given is chosen for the model and the machine."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto",
        description="What to compute in: auto (as stored; on the CPU float32), float32, float16 or "
        "bfloat16.",
    )
    n_ctx: int | None = Field(
        None, ge=16, le=1 << 24, description="Tokens of context, at least 16; at most the model's own."
    )


def context_length(asked: int | None, own: int | None) -> int:
    """Tokens of context to work with; `own` is what the model was made for.

    Raises:
        InvalidInput: for more than that.
    """
    if asked is None:
        return min(own or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
    if own is not None and asked > own:
        raise InvalidInput(
            f"n_ctx: the model was made for {own} tokens, not {asked}",
            hint=f"Pass at most n_ctx={own}.",
            field="n_ctx",
        )
    return asked
