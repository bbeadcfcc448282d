"""What the header of an adapter's weights tells: whether it is one, of which kind and rank.

Tensor names: peft (`…lora_A.weight`), diffusers before it (`…lora.down.weight`,
`…lora_linear_layer.up.weight`), kohya's sd-scripts (`…lora_down.weight`, `….alpha`) and LyCORIS
(`…lokr_w1`, `…hada_w1_a`). Metadata: sd-scripts (`ss_…`) and the Stability model specification (`modelspec.…`).
"""

import re
from collections import Counter

from modelhub.facts import JsonDict
from modelhub.formats import SafetensorsHeader

__all__ = ["adapter_kind", "metadata_said", "rank"]

_KINDS = (
    (
        "LORA",
        re.compile(r"(?:.*[._])?lora(?:_linear_layer)?[._](?:A|B|up|down|embedding_[AB])(?:\..*)?"),
    ),
    ("LOKR", re.compile(r"(?:.*[._])?lokr_(?:w[12](?:_[ab])?|t[12])(?:\..*)?")),
    ("LOHA", re.compile(r"(?:.*[._])?hada_(?:w[12]_[ab]|t[12])(?:\..*)?")),
    ("OFT", re.compile(r"(?:.*[._])?oft_(?:blocks|diag|[RrS])(?:\..*)?")),
    ("BOFT", re.compile(r"(?:.*[._])?boft_[RrS](?:\..*)?")),
    ("IA3", re.compile(r"(?:.*[._])?ia3_l(?:\..*)?")),
    ("VERA", re.compile(r"(?:.*[._])?vera_(?:A|B|lambda_[bd])(?:\..*)?")),
)
_BESIDE = re.compile(r".*\.(?:alpha|bias|diff|diff_b|dora_scale|lora_magnitude_vector(?:\..*)?)")
_DOWN = re.compile(r"(?:.*[._])?lora(?:_linear_layer)?[._](?:A|down)(?:\..*)?")
_SAID = {
    "modelspec.architecture": "base_architecture",
    "ss_base_model_version": "base_architecture",
    "ss_network_dim": "r",
    "ss_network_alpha": "lora_alpha",
}
MAX_SAID = 200


def adapter_kind(header: SafetensorsHeader) -> str | None:
    """Which kind of adapter these tensors are, as peft names it; `None` where most are of none."""
    counts: Counter[str] = Counter()
    beside = 0
    for tensor in header.tensors:
        kind = next((name for name, pattern in _KINDS if pattern.fullmatch(tensor.name)), None)
        if kind:
            counts[kind] += 1
        elif _BESIDE.fullmatch(tensor.name):
            beside += 1
    if not counts or 2 * (counts.total() + beside) < len(header.tensors):
        return None
    return counts.most_common(1)[0][0]


def rank(header: SafetensorsHeader) -> int | None:
    """The rank that most pairs of matrices have: rows of the one that comes first."""
    ranks = Counter(
        tensor.shape[0]
        for tensor in header.tensors
        if len(tensor.shape) > 1 and _DOWN.fullmatch(tensor.name)
    )
    return ranks.most_common(1)[0][0] if ranks else None


def metadata_said(header: SafetensorsHeader) -> JsonDict:
    """What the trainer wrote into the header, by our names: texts, as they stand there."""
    found: JsonDict = {}
    for key, name in _SAID.items():
        text = header.metadata.get(key, "")
        if text and len(text) <= MAX_SAID and text.isprintable():
            found.setdefault(name, text)
    return found
