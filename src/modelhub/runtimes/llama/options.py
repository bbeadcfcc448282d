"""How a model is loaded."""

import os
from typing import Annotated

from pydantic import Field

from modelhub.facts import Device, Fact
from modelhub.runtimes.llama.context import BLOCK

DEFAULT_BATCH = 512
"""Tokens of a prompt between two looks at the call: llama.cpp computes no more than that at once."""


class LlamaOptions(Fact):
    """What is not given is chosen for the model and the machine."""

    n_ctx: Annotated[int, Field(ge=BLOCK, le=1 << 24)] | None = Field(
        None,
        description=f"Tokens of context, at least {BLOCK}; at most what the model was trained for.",
    )
    n_threads: Annotated[int, Field(ge=1, le=512)] | None = Field(
        None, description="Threads that compute, from 1 to 512; by default the cores there are."
    )
    # With 1, llama.cpp's server would end the whole process: at its start it computes two together.
    n_batch: Annotated[int, Field(ge=2, le=1 << 16)] = Field(
        DEFAULT_BATCH, description="Tokens of a prompt that are computed together, at least 2."
    )


def threads(options: LlamaOptions, device: Device) -> int | None:
    """Threads to compute with; `None` leaves it to llama.cpp, which counts physical cores.

    It does not see a container's quota, so where this process may use fewer cores, that decides.
    """
    if options.n_threads is not None:
        return options.n_threads
    limited = device.cores is not None and device.cores < (os.cpu_count() or 1)
    return device.cores if limited else None
