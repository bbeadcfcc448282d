"""How one vector is made of many."""

from collections.abc import Mapping
from typing import Any

from modelhub.errors import LoadFailed
from modelhub.formats import GGUFHeader

POOLING = {"mean": 1, "cls": 2, "lasttoken": 3}
"""llama.cpp's numbers (`enum llama_pooling_type`) for the names in `Model.details`."""

_NAMES = {number: name for name, number in POOLING.items()}


def pooling_of(details: Mapping[str, Any], header: GGUFHeader) -> str:
    """A name of `POOLING`: as was found out about the model, else as its file says, else the mean.

    Raises:
        LoadFailed: for one that llama.cpp does not have.
    """
    name = details.get("pooling") or _NAMES.get(header.hyperparameter("pooling_type") or 0, "mean")
    if name not in POOLING:
        raise LoadFailed(f"llama.cpp does not pool by {name!r}", hint=f"It can do {', '.join(POOLING)}.")
    return str(name)


def reads_in_pieces(pooling: str) -> bool:
    """Whether a text may be computed in batches.

    The last token's vector comes from models whose tokens see only those before them; for the others
    each token must see the whole text.
    """
    return pooling == "lasttoken"
