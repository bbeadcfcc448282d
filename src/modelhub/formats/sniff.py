"""What a file is by its first bytes. Its suffix is only a claim."""

import re
from enum import StrEnum

__all__ = ["SNIFF_BYTES", "Content", "sniff"]

SNIFF_BYTES = 512
"""How many bytes from a file's start `sniff` looks at."""


class Content(StrEnum):
    """Kinds of content. `PICKLE`, `TORCH` and `NUMPY` can run code when they are loaded, and
    `UNKNOWN` promises nothing.
    """

    GGUF = "gguf"
    SAFETENSORS = "safetensors"
    ONNX = "onnx"
    PICKLE = "pickle"
    TORCH = "torch"
    NUMPY = "numpy"
    ZIP = "zip"
    GZIP = "gzip"
    HDF5 = "hdf5"
    GGML = "ggml"
    LFS_POINTER = "lfs_pointer"
    JSON = "json"
    HTML = "html"
    UNKNOWN = "unknown"


_MAGIC = (
    (b"GGUF", Content.GGUF),
    (b"\x1f\x8b", Content.GZIP),
    (b"\x89HDF\r\n\x1a\n", Content.HDF5),
    (b"\x93NUMPY", Content.NUMPY),
    (b"lmgg", Content.GGML),
    (b"fmgg", Content.GGML),
    (b"tjgg", Content.GGML),
    (b"version https://git-lfs.github.com/spec/v1\n", Content.LFS_POINTER),
)

_ZIP = re.compile(rb"PK(?:\x03\x04|\x05\x06|\x07\x08)")
# torch.save's archive begins with <name>/data.pkl, or since torch 2.x with a marker beside it.
_TORCH_ENTRY = re.compile(
    rb"PK\x03\x04.{26}[^/\x00]{1,200}/(?:data\.pkl|\.format_version|byteorder)", re.DOTALL
)
# From protocol 2 on a pickle names its protocol. Before, it begins with an opcode: a global by
# name, an empty container that is memoized, or a mark and the container or value behind it.
_PICKLE = re.compile(
    rb"\x80[\x02-\x05]"
    rb"|[(\]}]*c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n"
    rb"|[\]}]q\x00"
    rb"|\((?:[dlt][.p(]|i[A-Za-z_][\w.]*\n)"
)
_SAFETENSORS = re.compile(rb".{4}\x00{4}\{", re.DOTALL)
# ModelProto in protobuf: field 1 (ir_version) is a small number, then a field of those it has.
_ONNX = re.compile(rb"\x08[\x01-\x20][\x12\x1a\x22\x28\x32\x3a\x42\x72]")
_HTML = re.compile(rb"\s*<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_JSON = re.compile(rb'\s*(?:\{\s*["}]|\[\s*[\[\]{"\d-])')

_PATTERNS = (
    (_TORCH_ENTRY, Content.TORCH),
    (_ZIP, Content.ZIP),
    (_SAFETENSORS, Content.SAFETENSORS),
    (_PICKLE, Content.PICKLE),
    (_ONNX, Content.ONNX),
    (_HTML, Content.HTML),
    (_JSON, Content.JSON),
)


def sniff(head: bytes) -> Content:
    """What a file that begins with `head` (its first `SNIFF_BYTES`) holds.

    A guess to choose a reader by, or to refuse by; the reader then proves it.
    """
    head = head[:SNIFF_BYTES]
    for magic, content in _MAGIC:
        if head.startswith(magic):
            return content
    return next((content for pattern, content in _PATTERNS if pattern.match(head)), Content.UNKNOWN)
