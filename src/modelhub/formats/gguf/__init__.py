"""GGUF headers: metadata and tensor table, without the weights.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. What is refused here and
why: row 9 of the threat table in docs/explanation/security.md. Native loaders trust these numbers,
so nothing they would trip over may pass.
"""

from modelhub.formats.gguf.header import ArraySummary, GGUFHeader, GGUFTensor, Scalar, Value
from modelhub.formats.gguf.parser import read_gguf

__all__ = ["ArraySummary", "GGUFHeader", "GGUFTensor", "Scalar", "Value", "read_gguf"]
