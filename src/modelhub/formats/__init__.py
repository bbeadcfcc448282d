"""Bounded readers of file headers: bytes in, values out, nothing trusted.

Every reader refuses with `FormatError` what is damaged, lying or hostile, before it costs much
time or memory (rows 3, 9, 10 and 20 of the threat table in docs/explanation/security.md).
"""

from modelhub.formats.gguf import (
    HEAD_BYTES,
    ArraySummary,
    GGUFHeader,
    GGUFTable,
    GGUFTensor,
    TablePlace,
    read_gguf,
    read_gguf_table,
)
from modelhub.formats.onnx import ONNXHeader, ONNXValue, read_onnx
from modelhub.formats.reader import RangeReader
from modelhub.formats.safetensors import (
    SafetensorsHeader,
    SafetensorsTensor,
    read_index,
    read_safetensors,
)
from modelhub.formats.sniff import Content, sniff

__all__ = [
    "HEAD_BYTES",
    "ArraySummary",
    "Content",
    "GGUFHeader",
    "GGUFTable",
    "GGUFTensor",
    "ONNXHeader",
    "ONNXValue",
    "RangeReader",
    "SafetensorsHeader",
    "SafetensorsTensor",
    "TablePlace",
    "read_gguf",
    "read_gguf_table",
    "read_index",
    "read_onnx",
    "read_safetensors",
    "sniff",
]
