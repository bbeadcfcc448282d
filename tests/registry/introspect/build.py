"""Listings by hand, and headers as the gguf package writes them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gguf
import numpy as np

from modelhub.facts import RepoFile, RepoId, RepoListing
from modelhub.formats import GGUFHeader, RangeReader, read_gguf
from modelhub.refs import RepoPath
from modelhub.registry.introspect import Findings, Metadata, headers_wanted, introspect

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def listing(
    files: Mapping[str, int] | list[str],
    name: str = "Tiny-Chat-GGUF",
    source: str = "huggingface",
    **facts: Any,
) -> RepoListing:
    """A repository with these files; without sizes, each one is as large as its name is long."""
    sizes = files if isinstance(files, Mapping) else {path: len(path) for path in files}
    return RepoListing(
        repo=RepoId(source=source, vendor="zoo", name=name),
        commit=COMMIT,
        revision="main",
        files=tuple(RepoFile(path=RepoPath(path), size=size) for path, size in sizes.items()),
        source_uri=f"https://example.org/zoo/{name}",
        **facts,
    )


def header(
    architecture: str = "llama",
    *,
    tensors: Mapping[str, tuple[int, ...]] | None = None,
    more: Callable[[gguf.GGUFWriter], object] = lambda _writer: None,
) -> GGUFHeader:
    """A header as the gguf package writes it; `more` adds keys."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.gguf"
        writer = gguf.GGUFWriter(path, architecture)
        more(writer)
        for name, shape in (tensors if tensors is not None else {"a.weight": (4, 32)}).items():
            writer.add_tensor(name, np.zeros(shape, np.float16))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return read_gguf(RangeReader.from_path(path))


def chat(writer: gguf.GGUFWriter) -> None:
    """What a chat model's header has."""
    writer.add_context_length(2048)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_feed_forward_length(256)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    writer.add_license("apache-2.0")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{n}" for n in range(2000)])
    writer.add_chat_template("{{ messages }}")


def find(files, headers=None, **facts) -> Findings:
    """What is found in a repository whose wanted headers are `headers` (or all one chat model's)."""
    repo = listing(files, **facts)
    if headers is None or isinstance(headers, GGUFHeader):
        headers = dict.fromkeys(headers_wanted(repo), headers or header(more=chat))
    return introspect(repo, Metadata(headers=headers))
