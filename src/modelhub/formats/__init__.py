"""Bounded readers of file headers: bytes in, values out, nothing trusted.

Every reader refuses with `FormatError` what is damaged, lying or hostile, before it costs much
time or memory (rows 3, 9, 10 and 20 of the threat table in docs/explanation/security.md).
"""

from modelhub.formats.claims import PICKLE_SUFFIXES, check_claim
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
from modelhub.formats.sniff import ARCHIVES, RUNS_CODE, SNIFF_BYTES, Content, sniff

__all__ = [
    "ARCHIVES",
    "HEAD_BYTES",
    "PICKLE_SUFFIXES",
    "RUNS_CODE",
    "SNIFF_BYTES",
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
    "check_claim",
    "read_gguf",
    "read_gguf_table",
    "read_index",
    "read_onnx",
    "read_safetensors",
    "sniff",
]
