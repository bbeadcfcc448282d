"""Names of number formats: one lower-case list for every file format.

GGUF's names are those of llama.cpp's `llama_ftype` (`ggml-org/llama.cpp: include/llama.h`).
"""

from enum import StrEnum

__all__ = ["Precision", "canonical_tag", "spellings"]


class Precision(StrEnum):
    """How a variant's weights are stored, best quality first."""

    FP64 = "fp64"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    FP8 = "fp8"
    INT8 = "int8"
    Q8_0 = "q8_0"
    Q8_1 = "q8_1"
    Q6_K_L = "q6_k_l"
    Q6_K = "q6_k"
    Q5_K_L = "q5_k_l"
    Q5_K_M = "q5_k_m"
    Q5_K = "q5_k"
    Q5_K_S = "q5_k_s"
    Q5_1 = "q5_1"
    Q5_0 = "q5_0"
    Q4_K_L = "q4_k_l"
    Q4_K_M = "q4_k_m"
    Q4_K = "q4_k"
    Q4_K_S = "q4_k_s"
    IQ4_NL = "iq4_nl"
    IQ4_XS = "iq4_xs"
    Q4_1 = "q4_1"
    Q4_0 = "q4_0"
    MXFP4 = "mxfp4"
    NVFP4 = "nvfp4"
    FP4 = "fp4"
    INT4 = "int4"
    Q3_K_L = "q3_k_l"
    Q3_K_M = "q3_k_m"
    Q3_K = "q3_k"
    IQ3_M = "iq3_m"
    IQ3_S = "iq3_s"
    Q3_K_S = "q3_k_s"
    IQ3_XS = "iq3_xs"
    IQ3_XXS = "iq3_xxs"
    INT3 = "int3"
    Q2_K_L = "q2_k_l"
    Q2_K_M = "q2_k_m"
    Q2_K = "q2_k"
    Q2_K_S = "q2_k_s"
    IQ2_M = "iq2_m"
    IQ2_S = "iq2_s"
    IQ2_XS = "iq2_xs"
    IQ2_XXS = "iq2_xxs"
    INT2 = "int2"
    TQ2_0 = "tq2_0"
    IQ1_M = "iq1_m"
    IQ1_S = "iq1_s"
    TQ1_0 = "tq1_0"
    Q1_0 = "q1_0"

    @property
    def quality(self) -> int:
        """Higher is better; only the order means anything."""
        return len(_ORDER) - _ORDER[self]

    @classmethod
    def parse(cls, text: str) -> "Precision | None":
        """The precision that `text` names in any usual spelling, or `None`.

        >>> Precision.parse("F16"), Precision.parse("torch.bfloat16"), Precision.parse("Q4_K_M")
        (<Precision.FP16: 'fp16'>, <Precision.BF16: 'bf16'>, <Precision.Q4_K_M: 'q4_k_m'>)
        """
        name = canonical_tag(text.removeprefix("torch."))
        return cls(name) if name in cls._value2member_map_ else None


_ORDER = {precision: index for index, precision in enumerate(Precision)}

_ALIASES = {
    "f64": "fp64",
    "float64": "fp64",
    "double": "fp64",
    "f32": "fp32",
    "float32": "fp32",
    "float": "fp32",
    "f16": "fp16",
    "float16": "fp16",
    "half": "fp16",
    "bfloat16": "bf16",
    "f8_e4m3": "fp8",
    "f8_e5m2": "fp8",
    "float8_e4m3fn": "fp8",
    "float8_e5m2": "fp8",
    "i8": "int8",
    "u8": "int8",
    "uint8": "int8",
    "i4": "int4",
    "u4": "int4",
    "uint4": "int4",
    "q6_k_m": "q6_k",
    "q6_k_s": "q6_k",
    "mxfp4_moe": "mxfp4",
}


def canonical_tag(text: str) -> str:
    """`text` in lower case, with each spelling of a precision brought to the one in the list.

    >>> canonical_tag("F16"), canonical_tag("Q4_K_M"), canonical_tag("Text-To-Video")
    ('fp16', 'q4_k_m', 'text-to-video')
    """
    name = text.strip().lower()
    return _ALIASES.get(name, name)


def spellings() -> tuple[str, ...]:
    """Other spellings of precisions, in lower case."""
    return tuple(_ALIASES)
