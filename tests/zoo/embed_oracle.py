"""What tiny-embed's vectors are, with numpy alone: BERT as its paper and its configuration say.

Another road than those of the engines: the tokenizer works from vocab.txt, there is no batch and no padding, and
numbers are float64. BERT: https://arxiv.org/abs/1810.04805; WordPiece as google-research/bert's tokenization.py.
"""

import json
import math
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from .embed_repos import EMBED

Array = NDArray[np.float64]


class Oracle:
    """The committed weights, and the vectors that they give."""

    def __init__(self, folder: Path = EMBED) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
        self.vocabulary = {token: number for number, token in enumerate(lines)}
        weights = load_file(folder / "model.safetensors")
        self.weights = {name: tensor.astype(np.float64) for name, tensor in weights.items()}

    def vectors(self, texts: Sequence[str], *, pooling: str = "mean", normalize: bool = True) -> Array:
        """The vectors, (texts, hidden size); pooling is `mean`, `cls` or `lasttoken`."""
        rows = np.stack([pooled(self.states(self.tokens(text)), pooling) for text in texts])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True) if normalize else rows

    def tokens(self, text: str) -> list[int]:
        """The text's token numbers, `[CLS]` at their begin and `[SEP]` at their end."""
        pieces = [piece for word in words(text) for piece in self.pieces(word)]
        return [self.vocabulary[piece] for piece in ("[CLS]", *pieces, "[SEP]")]

    def pieces(self, word: str) -> list[str]:
        """The word in the longest pieces that there are, from the left; `[UNK]` where there is none."""
        found: list[str] = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if mark + word[start:end] in self.vocabulary), None)
            if end is None:
                return ["[UNK]"]
            found.append(mark + word[start:end])
            start = end
        return found

    def states(self, tokens: Sequence[int]) -> Array:
        """What the last layer says of each token, (tokens, hidden size)."""
        states = self.norm(
            "embeddings.LayerNorm",
            self.weights["embeddings.word_embeddings.weight"][list(tokens)]
            + self.weights["embeddings.position_embeddings.weight"][: len(tokens)]
            + self.weights["embeddings.token_type_embeddings.weight"][0],
        )
        for layer in range(self.config["num_hidden_layers"]):
            states = self.layer(f"encoder.layer.{layer}.", states)
        return states

    def layer(self, name: str, states: Array) -> Array:
        """One block: attention, then the feed-forward part, each added to what came in and normed."""
        attended = self.linear(name + "attention.output.dense", self.attention(name, states))
        states = self.norm(name + "attention.output.LayerNorm", states + attended)
        wide = gelu(self.linear(name + "intermediate.dense", states))
        return self.norm(name + "output.LayerNorm", states + self.linear(name + "output.dense", wide))

    def attention(self, name: str, states: Array) -> Array:
        """Each token looks at those it sees, in each head."""
        heads = self.config["num_attention_heads"]
        query, key, value = (
            self.linear(f"{name}attention.self.{part}", states)
            .reshape(len(states), heads, -1)
            .swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(1, 2) / math.sqrt(query.shape[-1])
        scores = np.where(self.seen(len(states)), scores, -np.inf)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        mixed: Array = (shares @ value).swapaxes(0, 1).reshape(states.shape)
        return mixed

    def seen(self, count: int) -> NDArray[np.bool_]:
        """Which tokens (columns) each token (rows) sees: all of them."""
        return np.ones((count, count), dtype=np.bool_)

    def linear(self, name: str, states: Array) -> Array:
        """A dense layer."""
        return states @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, name: str, states: Array) -> Array:
        """Layer normalization."""
        centred = states - states.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.config["layer_norm_eps"])
        return centred / deviation * self.weights[name + ".weight"] + self.weights[name + ".bias"]


def pooled(states: Array, pooling: str) -> Array:
    """One vector of the tokens' states."""
    ways = {"mean": states.mean(axis=0), "cls": states[0], "lasttoken": states[-1]}
    return ways[pooling]


def gelu(values: Array) -> Array:
    """The exact one, by the error function."""
    error: Array = np.vectorize(math.erf)(values / math.sqrt(2))
    return values * 0.5 * (1 + error)


def words(text: str) -> Iterator[str]:
    """Lower case, no accents; split at spaces, and around each punctuation mark and each Chinese character."""
    plain = (c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    yield from "".join(f" {c} " if stands_alone(c) else c for c in plain).split()


def stands_alone(character: str) -> bool:
    """Whether it is a word of its own: Unicode's punctuation, every other sign of ASCII, the common ideographs."""
    if character.isascii():
        return not character.isalnum() and not character.isspace()
    return unicodedata.category(character).startswith("P") or "\u4e00" <= character <= "\u9fff"


def margin(vectors: Array, labels: Sequence[str]) -> float:
    """The least lead of a row's own group over all others: the cosine of its farthest kin less that of its nearest
    stranger. Above zero, the nearest neighbours of every row are exactly its group.
    """
    cosines = vectors @ vectors.T
    kin = np.array(labels)[:, None] == np.array(labels)[None, :]
    farthest = np.where(kin, cosines, np.inf).min(axis=1)
    nearest = np.where(kin, -np.inf, cosines).max(axis=1)
    return float((farthest - nearest).min())
