"""What a file is by its first bytes. Its suffix is only a claim."""

import re
from enum import StrEnum

__all__ = ["ARCHIVES", "RUNS_CODE", "SNIFF_BYTES", "Content", "sniff"]

SNIFF_BYTES = 512
"""How many bytes from a file's start `sniff` looks at."""


class Content(StrEnum):
    """Kinds of content. What is in `RUNS_CODE` can run code when it is loaded, what is in `ARCHIVES`
    may hold anything, and `UNKNOWN` promises nothing.

    `TORCH` is what `torch.save` writes: a zip archive with a pickle. joblib's files are `PICKLE`, or
    `COMPRESSED`. `NUMPY_OBJECT` is an array of Python objects, which NumPy pickles.
    """

    GGUF = "gguf"
    SAFETENSORS = "safetensors"
    ONNX = "onnx"
    PICKLE = "pickle"
    TORCH = "torch"
    NUMPY = "numpy"
    NUMPY_OBJECT = "numpy_object"
    ZIP = "zip"
    TAR = "tar"
    GZIP = "gzip"
    COMPRESSED = "compressed"
    HDF5 = "hdf5"
    GGML = "ggml"
    LFS_POINTER = "lfs_pointer"
    JSON = "json"
    HTML = "html"
    UNKNOWN = "unknown"


RUNS_CODE = frozenset({Content.PICKLE, Content.TORCH, Content.NUMPY_OBJECT})
ARCHIVES = frozenset({Content.ZIP, Content.TAR, Content.GZIP, Content.COMPRESSED})

_MAGIC = (
    (b"GGUF", Content.GGUF),
    (b"\x1f\x8b", Content.GZIP),
    (b"BZh", Content.COMPRESSED),
    (b"\xfd7zXZ\x00", Content.COMPRESSED),
    (b"7z\xbc\xaf\x27\x1c", Content.COMPRESSED),
    (b"Rar!\x1a\x07", Content.COMPRESSED),
    (b"\x28\xb5\x2f\xfd", Content.COMPRESSED),  # zstd
    (b"\x04\x22\x4d\x18", Content.COMPRESSED),  # lz4
    (b"\x5d\x00\x00\x80\x00", Content.COMPRESSED),  # lzma, as joblib writes it
    (b"\x89HDF\r\n\x1a\n", Content.HDF5),
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
_OBJECTS = re.compile(rb"\x93NUMPY[\x01-\x03]\x00.{2,4}\{[^}]*'descr':[^}]*'\|?O'", re.DOTALL)
# zlib as joblib and others write it: deflate in a window of 32 KiB, and a check of both bytes.
_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
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

_SUM = slice(148, 156)

_PATTERNS = (
    (_TORCH_ENTRY, Content.TORCH),
    (_ZIP, Content.ZIP),
    (_OBJECTS, Content.NUMPY_OBJECT),
    (re.compile(rb"\x93NUMPY"), Content.NUMPY),
    (_SAFETENSORS, Content.SAFETENSORS),
    (_PICKLE, Content.PICKLE),
    (_ZLIB, Content.COMPRESSED),
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
    if _is_tar(head):  # before the patterns: it begins with a name, which can be anything
        return Content.TAR
    return next((content for pattern, content in _PATTERNS if pattern.match(head)), Content.UNKNOWN)


def _is_tar(head: bytes) -> bool:
    """Whether the first block is a member's: the old kind has no magic, but every kind a sum of its bytes,
    in which the sum's own field counts as blanks.
    """
    field = head[_SUM].strip(b" \x00")
    if len(head) < SNIFF_BYTES or not re.fullmatch(rb"[0-7]{1,7}", field):
        return False
    return int(field, 8) == sum(head) - sum(head[_SUM]) + 8 * ord(" ")
