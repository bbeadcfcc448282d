"""The zoo's sentence embedder as repositories, and what its small files say. Needs gguf, numpy and safetensors."""

import json
from collections.abc import Sequence
from pathlib import Path

from .cases import ZOO
from .copying import copy_files

EMBED = ZOO / "embed"
"""zoo/tiny-embed, as committed."""

EMBED_GGUF = ZOO / "embed-gguf"
"""The card of zoo/tiny-embed-GGUF; its files are made from zoo/tiny-embed."""

EMBED_PRECISIONS = ("f32", "f16", "q8_0")

POOLING = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
"""The flag by which `1_Pooling/config.json` tells each way of pooling."""


def build_embed(folder: Path, *, pooling: str = "mean", normalize: bool = True) -> Path:
    """zoo/tiny-embed in the folder, made if need be, in the layout of sentence-transformers. Returns the folder.

    It has learnt its neighbours with the mean; with another pooling, or without the last step that gives vectors
    length 1, it is a repository that says so, whose vectors `Oracle.vectors` knows as well.
    """
    copy_files(EMBED, folder)
    size = json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    write_json(folder / "1_Pooling" / "config.json", pooling_config(pooling, size))
    if not normalize:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        write_json(folder / "modules.json", modules[:-1])
    return folder


def build_embed_gguf(
    folder: Path, *, precisions: Sequence[str] = EMBED_PRECISIONS, pooling: str = "mean"
) -> Path:
    """zoo/tiny-embed-GGUF in the folder, made if need be: a card and `zoo-embed-<precision>.gguf`. Returns the folder.

    Precisions are those of `gguf_writer.KINDS`; pooling is `mean`, `cls` or `lasttoken`. The same bytes each time.
    """
    from .bert_gguf import write_bert_gguf

    copy_files(EMBED_GGUF, folder)
    for precision in precisions:
        write_bert_gguf(EMBED, folder / f"zoo-embed-{precision}.gguf", precision, pooling=pooling)
    return folder


def pooling_config(pooling: str, size: int) -> dict[str, object]:
    """`1_Pooling/config.json`, as releases of the library before 5 write it; `size` is the model's."""
    flags = {flag: way == pooling for way, flag in POOLING.items()}
    if not any(flags.values()):
        raise ValueError(f"pooling is one of {', '.join(POOLING)}, not {pooling}")
    return {"word_embedding_dimension": size, **flags, "include_prompt": True}


def write_json(path: Path, content: object) -> None:
    """The content as the libraries write it: indented, a line feed at its end. Its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
