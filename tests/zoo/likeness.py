"""How near every engine comes to tiny-embed's oracle, and how far each mistake leads: `python -m tests.zoo.likeness`."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .cases import ZOO
from .embed_oracle import Array, Oracle
from .embed_repos import EMBED, EMBED_PRECISIONS, build_embed_gguf
from .embed_texts import embed_texts

LEAST = {"f32": 0.9999, "f16": 0.9999, "q8_0": 0.999}
"""The cosine with the oracle that every vector must have, by precision."""

STRANGE = (
    "Ünïcödé, ÇAFÉ; naïve",
    "日本語 テスト",
    "a_b-c/d e@f.g $5 x+y=z <b> £6",
    "supercalifragilistic zzzqqq 12345",
    "tabs\tand\nnew lines  twice",
    "straße — “quoted” ’tis ½ ™",
    "x" * 90,
    "#tag ##ing",
    "emoji🦊inside",
    "query: The dog bit the postman.",
)
"""Texts that a tokenizer may get wrong."""

TEXTS = (*embed_texts(), *STRANGE)


def cosines(one: Array, other: Array) -> Array:
    """Of each row with its partner."""
    dots: Array = np.sum(one * other, axis=1)
    return dots / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def ask_llama(engine: str, model: Path, texts: Sequence[str]) -> Array:
    """The vectors of a GGUF file through `xllamacpp` or `llama_cpp`, in a child, as the model gives them."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "texts.json", Path(folder) / "vectors.json"
        asked.write_text(json.dumps(texts), encoding="utf-8")
        program = [str(ZOO / "ask_embedder.py"), engine, str(model), str(asked), str(answered)]
        child = subprocess.run(
            [sys.executable, *program], capture_output=True, text=True, timeout=300, check=False
        )
        if child.returncode != 0:
            complaint = child.stderr[-2000:]
            raise RuntimeError(f"the engine ended with {child.returncode} on {model.name}: {complaint}")
        return np.array(json.loads(answered.read_text(encoding="utf-8")))


def ask_transformers(folder: Path, texts: Sequence[str]) -> tuple[Array, Array]:
    """The mean and the first of the tokens' states of a repository through transformers, all in one batch."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    inputs: Any = AutoTokenizer.from_pretrained(folder)(list(texts), padding=True, return_tensors="pt")
    with torch.no_grad():
        model: Any = AutoModel.from_pretrained(folder, dtype=torch.float32)
        states = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    return ((states * mask).sum(1) / mask.sum(1)).numpy(), states[:, 0].numpy()


class WithoutPositions(Oracle):
    """Word order is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.weights["embeddings.position_embeddings.weight"][:] = 0


class WithoutTypes(Oracle):
    """Token types are not added."""

    def __init__(self) -> None:
        super().__init__()
        self.weights["embeddings.token_type_embeddings.weight"][:] = 0


class WithoutEnds(Oracle):
    """A text has neither `[CLS]` nor `[SEP]`."""

    def tokens(self, text: str) -> list[int]:
        """What stands between them."""
        return super().tokens(text)[1:-1]


class WithoutEnd(Oracle):
    """A text has no `[SEP]`."""

    def tokens(self, text: str) -> list[int]:
        """What stands before it."""
        return super().tokens(text)[:-1]


class TwoHeads(Oracle):
    """Heads are twice as wide."""

    def __init__(self) -> None:
        super().__init__()
        self.config["num_attention_heads"] = 2


class Causal(Oracle):
    """No token sees a later one."""

    def seen(self, count: int) -> Any:
        """Itself and what stands before it."""
        return np.tri(count, dtype=np.bool_)


MISTAKES: dict[str, type[Oracle]] = {
    "no `[SEP]`": WithoutEnd,
    "no token types": WithoutTypes,
    "two heads for four": TwoHeads,
    "causal attention": Causal,
    "no positions": WithoutPositions,
    "neither `[CLS]` nor `[SEP]`": WithoutEnds,
}
"""What an engine may get wrong."""


def likeness_of(mistake: type[Oracle]) -> float:
    """The least cosine of a sentence's vector with the right one."""
    return float(cosines(mistake().vectors(embed_texts()), Oracle().vectors(embed_texts())).min())


def main() -> None:
    """Prints both tables; fails when a vector is too far off."""
    right = Oracle().vectors(TEXTS)
    rows = {("transformers", "f32"): cosines(ask_transformers(EMBED, TEXTS)[0], right).min()}
    with tempfile.TemporaryDirectory() as name:
        folder = build_embed_gguf(Path(name))
        for engine in ("xllamacpp", "llama_cpp"):
            for precision in EMBED_PRECISIONS:
                vectors = ask_llama(engine, folder / f"zoo-embed-{precision}.gguf", TEXTS)
                rows[engine, precision] = cosines(vectors, right).min()
    lines = ["| engine | precision | least cosine |", "|---|---|---|"]
    lines += [f"| {engine} | {precision} | {least:.5f} |" for (engine, precision), least in rows.items()]
    lines += ["", "| mistake | least cosine |", "|---|---|"]
    lines += [f"| {name} | {likeness_of(mistake):.2f} |" for name, mistake in MISTAKES.items()]
    print("\n".join(lines))  # noqa: T201 -- the tables are this program's output
    if any(least < LEAST[precision] for (_, precision), least in rows.items()):
        raise SystemExit("a vector is too far from the oracle's")


if __name__ == "__main__":
    main()
