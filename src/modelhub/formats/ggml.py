"""ggml's tensor types and llama.cpp's file types, as plain tables.

Sources: `ggml-org/ggml: include/ggml.h` (`enum ggml_type`, block sizes in `src/ggml-common.h`) and
`ggml-org/llama.cpp: include/llama.h` (`enum llama_ftype`). Numbers that are missing were given up
by ggml (4 and 5, 31 to 33, 36 to 38 among the types).
"""

from typing import NamedTuple

from modelhub.refs import Precision

__all__ = ["FILE_TYPES", "GGML_TYPES", "GUESSED", "GGMLType"]


class GGMLType(NamedTuple):
    """A tensor type: `block` elements take `bytes` bytes. `precision` where it names one."""

    id: int
    name: str
    block: int
    bytes: int
    precision: Precision | None


_TYPES = (
    GGMLType(0, "F32", 1, 4, Precision.FP32),
    GGMLType(1, "F16", 1, 2, Precision.FP16),
    GGMLType(2, "Q4_0", 32, 18, Precision.Q4_0),
    GGMLType(3, "Q4_1", 32, 20, Precision.Q4_1),
    GGMLType(6, "Q5_0", 32, 22, Precision.Q5_0),
    GGMLType(7, "Q5_1", 32, 24, Precision.Q5_1),
    GGMLType(8, "Q8_0", 32, 34, Precision.Q8_0),
    GGMLType(9, "Q8_1", 32, 40, Precision.Q8_1),
    GGMLType(10, "Q2_K", 256, 84, Precision.Q2_K),
    GGMLType(11, "Q3_K", 256, 110, Precision.Q3_K),
    GGMLType(12, "Q4_K", 256, 144, Precision.Q4_K),
    GGMLType(13, "Q5_K", 256, 176, Precision.Q5_K),
    GGMLType(14, "Q6_K", 256, 210, Precision.Q6_K),
    GGMLType(15, "Q8_K", 256, 292, None),
    GGMLType(16, "IQ2_XXS", 256, 66, Precision.IQ2_XXS),
    GGMLType(17, "IQ2_XS", 256, 74, Precision.IQ2_XS),
    GGMLType(18, "IQ3_XXS", 256, 98, Precision.IQ3_XXS),
    GGMLType(19, "IQ1_S", 256, 50, Precision.IQ1_S),
    GGMLType(20, "IQ4_NL", 32, 18, Precision.IQ4_NL),
    GGMLType(21, "IQ3_S", 256, 110, Precision.IQ3_S),
    GGMLType(22, "IQ2_S", 256, 82, Precision.IQ2_S),
    GGMLType(23, "IQ4_XS", 256, 136, Precision.IQ4_XS),
    GGMLType(24, "I8", 1, 1, None),
    GGMLType(25, "I16", 1, 2, None),
    GGMLType(26, "I32", 1, 4, None),
    GGMLType(27, "I64", 1, 8, None),
    GGMLType(28, "F64", 1, 8, Precision.FP64),
    GGMLType(29, "IQ1_M", 256, 56, Precision.IQ1_M),
    GGMLType(30, "BF16", 1, 2, Precision.BF16),
    GGMLType(34, "TQ1_0", 256, 54, Precision.TQ1_0),
    GGMLType(35, "TQ2_0", 256, 66, Precision.TQ2_0),
    GGMLType(39, "MXFP4", 32, 17, Precision.MXFP4),
    GGMLType(40, "NVFP4", 64, 36, Precision.NVFP4),
    GGMLType(41, "Q1_0", 128, 18, Precision.Q1_0),
)

GGML_TYPES: dict[int, GGMLType] = {kind.id: kind for kind in _TYPES}
"""The tensor types by their numbers."""

GUESSED = 1024
"""A bit of `general.file_type`: llama.cpp guessed it, the file does not say."""

FILE_TYPES: dict[int, Precision] = {
    0: Precision.FP32,
    1: Precision.FP16,
    2: Precision.Q4_0,
    3: Precision.Q4_1,
    7: Precision.Q8_0,
    8: Precision.Q5_0,
    9: Precision.Q5_1,
    10: Precision.Q2_K,
    11: Precision.Q3_K_S,
    12: Precision.Q3_K_M,
    13: Precision.Q3_K_L,
    14: Precision.Q4_K_S,
    15: Precision.Q4_K_M,
    16: Precision.Q5_K_S,
    17: Precision.Q5_K_M,
    18: Precision.Q6_K,
    19: Precision.IQ2_XXS,
    20: Precision.IQ2_XS,
    21: Precision.Q2_K_S,
    22: Precision.IQ3_XS,
    23: Precision.IQ3_XXS,
    24: Precision.IQ1_S,
    25: Precision.IQ4_NL,
    26: Precision.IQ3_S,
    27: Precision.IQ3_M,
    28: Precision.IQ2_S,
    29: Precision.IQ2_M,
    30: Precision.IQ4_XS,
    31: Precision.IQ1_M,
    32: Precision.BF16,
    36: Precision.TQ1_0,
    37: Precision.TQ2_0,
    38: Precision.MXFP4,
    39: Precision.NVFP4,
    40: Precision.Q1_0,
}
"""The precision that a number of `general.file_type` means."""
