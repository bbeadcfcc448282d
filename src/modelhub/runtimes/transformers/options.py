"""How a model is loaded."""

from typing import Literal

from pydantic import Field

from modelhub.facts import Fact


class TransformersOptions(Fact):
    """What is not given is chosen for the model and the machine."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto",
        description="What to compute in: auto (as stored; on the CPU half precision becomes float32), "
        "float32, float16 or bfloat16.",
    )
    n_ctx: int | None = Field(
        None, ge=16, le=1 << 24, description="Tokens of context, at least 16; at most the model's own."
    )
