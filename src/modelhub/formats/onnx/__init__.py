"""ONNX files: what their graph takes, gives and holds, without the weights.

The format is the protobuf message `ModelProto`; field numbers are those of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3. Weights are jumped over, so that of a file on
a remote only its nodes are read, and a small block behind each large tensor. What is refused here and
why: row 20 of the threat table in docs/explanation/security.md.
"""

from modelhub.formats.onnx.header import DTYPES, ONNXHeader, ONNXValue
from modelhub.formats.onnx.parser import read_onnx

__all__ = ["DTYPES", "ONNXHeader", "ONNXValue", "read_onnx"]
