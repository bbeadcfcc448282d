"""The precision that a mix of tensor types is, against llama.cpp's own quantizer."""

import subprocess
import sys
from pathlib import Path

import pytest

from modelhub.formats import GGUFTensor, RangeReader, read_gguf
from modelhub.formats.gguf.mix import mixed_precision
from tests.zoo.gguf_writer import write_gguf
from tests.zoo.repos import REPOSITORY

ROOT = Path(__file__).parents[2]
QUANTIZATIONS = [
    "Q2_K",
    "Q3_K_S",
    "Q3_K_M",
    "Q3_K_L",
    "Q4_K_S",
    "Q4_K_M",
    "Q5_K_S",
    "Q5_K_M",
    "Q6_K",
    "Q8_0",
    "Q4_0",
    "Q5_1",
    "IQ3_S",
    "IQ3_M",
    "IQ4_XS",
]


QUANTIZE = """
import sys
from pathlib import Path
from tests.zoo.quantize_k import quantize

folder = Path(sys.argv[1])
for name in sys.argv[2:]:
    quantize(folder / "f16.gguf", folder / f"{name}.gguf", name)
"""


@pytest.fixture(scope="module")
def quantized(tmp_path_factory) -> Path:
    """A folder with the zoo's chat model in each; made elsewhere, since llama.cpp may end its process."""
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    folder = tmp_path_factory.mktemp("mixes")
    write_gguf(REPOSITORY, folder / "f16.gguf", "f16")
    command = [sys.executable, "-c", QUANTIZE, str(folder), *QUANTIZATIONS]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    return folder


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_a_mix_is_what_the_quantizer_calls_it(quantized, name):
    header = read_gguf(RangeReader.from_path(quantized / f"{name}.gguf"))
    assert header.mix == header.stated_precision == name.lower()


def rows(**types: str) -> list[GGUFTensor]:
    return [
        GGUFTensor(f"blk.0.{name}.weight", (256, 8 if name == "ffn_up" else 1), kind, 0, 0)
        for name, kind in types.items()
    ]


@pytest.mark.parametrize(
    ("types", "precision"),
    [
        ({"ffn_up": "Q2_K", "ffn_down": "Q4_K"}, "q2_k_s"),
        ({"ffn_up": "IQ2_S", "attn_output": "IQ3_S"}, "iq2_m"),
        ({"ffn_up": "IQ2_XS", "attn_output": "IQ3_S"}, "iq2_s"),
        ({"ffn_up": "IQ2_XS", "attn_output": "IQ2_XS"}, "iq2_xs"),
        ({"ffn_up": "Q4_K", "ffn_down_exps": "Q6_K"}, "q4_k_m"),
        ({"ffn_up": "Q4_K", "attn_qkv": "Q5_K"}, "q4_k_m"),
        ({"ffn_up": "Q4_K", "ssm_in": "Q6_K"}, "q4_k"),
        ({"ffn_up": "I32"}, None),
        ({}, None),
    ],
)
def test_the_rest_of_the_rules(types, precision):
    assert mixed_precision(rows(**types)) == precision


def test_embeddings_do_not_count_where_there_are_layers():
    embedding = GGUFTensor("token_embd.weight", (256, 1000), "Q6_K", 0, 0)
    assert mixed_precision([embedding, *rows(ffn_up="Q4_0")]) == "q4_0"
    assert mixed_precision([embedding]) == "q6_k"
