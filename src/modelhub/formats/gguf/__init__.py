"""GGUF headers: metadata and tensor table, without the weights.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. What is refused here and
why: row 9 of the threat table in docs/explanation/security.md. Native loaders trust these numbers,
so nothing they would trip over may pass.
"""

from modelhub.formats.gguf.header import ArraySummary, GGUFHeader, Scalar, Value
from modelhub.formats.gguf.parser import read_gguf
from modelhub.formats.gguf.table import HEAD_BYTES, GGUFTable, TablePlace, read_gguf_table
from modelhub.formats.gguf.tensor import GGUFTensor

__all__ = [
    "HEAD_BYTES",
    "ArraySummary",
    "GGUFHeader",
    "GGUFTable",
    "GGUFTensor",
    "Scalar",
    "TablePlace",
    "Value",
    "read_gguf",
    "read_gguf_table",
]
