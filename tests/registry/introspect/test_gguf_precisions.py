"""How precise GGUF files are: names, headers and tensors, and what follows where they disagree."""

import gguf
import numpy as np
import pytest

from modelhub.formats import GGUFTable, GGUFTensor
from modelhub.registry.introspect import Metadata, headers_wanted, introspect, sisters_wanted

from .build import chat, find, header, listing
from .found import codes, only_model, said

STATED = {name: number.value for name, number in vars(gguf.LlamaFileType).items() if name[:1].isupper()}


def table(
    kind: str = "F16", file_type: str | None = None, name: str = "blk.0.ffn_up.weight"
) -> GGUFTable:
    """What was read of a sister: a tensor of `kind`, and what the quantizer stated."""
    row = GGUFTensor(name, (256, 2), kind, 0, 0)
    return GGUFTable((row,), file_type and getattr(gguf.LlamaFileType, file_type).value, 100, 128)


def described(name: str, found: GGUFTable | None):
    """The variant of `name` beside a main one, and what was found."""
    repo = listing({"M-Q4_K_M.gguf": 1, name: 9})
    headers = {"M-Q4_K_M.gguf": header(more=chat)}
    findings = introspect(repo, Metadata(headers=headers, tables={name: found} if found else {}))
    (variant,) = [v for v in only_model(findings).variants if v.components[0].files[0].path == name]
    return variant, findings


@pytest.mark.parametrize(
    ("name", "kind", "file_type", "precision", "told"),
    [
        ("M-Q8_0.gguf", "Q8_0", "MOSTLY_Q8_0", "q8_0", []),
        ("M-Q8_0.gguf", "Q8_0", None, "q8_0", []),
        ("M.gguf", "Q8_0", None, "q8_0", []),
        ("M-q4.gguf", "Q4_K", "MOSTLY_Q4_K_S", "q4_k_s", []),
        ("M-UD-Q4_K_XL.gguf", "Q4_K", "MOSTLY_Q4_K_M", "q4_k_m", []),
        ("M-Q4_K.gguf", "Q4_K", "MOSTLY_Q4_K_M", "q4_k_m", []),
        # What llama.cpp has no number for, a header cannot deny.
        ("M-Q6_K_L.gguf", "Q6_K", "MOSTLY_Q6_K", "q6_k_l", []),
        ("M-Q4_K_L.gguf", "Q4_K", "MOSTLY_Q4_K_M", "q4_k_l", []),
        # Anyone may mix types otherwise.
        ("M-Q4_K_S.gguf", "Q4_K", None, "q4_k_s", []),
        # One of the two that the header says is what the name says.
        ("M-Q4_0.gguf", "MXFP4", "MOSTLY_Q4_0", "q4_0", []),
        ("M-Q8_0.gguf", "Q8_0", "MOSTLY_F16", "q8_0", []),
        ("M-Q8_0.gguf", "Q4_0", "MOSTLY_Q4_0", "q4_0", ["precision.conflict"]),
        ("M-Q4_K_S.gguf", "Q4_K", "MOSTLY_Q4_K_M", "q4_k_m", ["precision.conflict"]),
        ("M-BF16.gguf", "F16", None, "fp16", ["precision.conflict"]),
        ("M-Q5_K_M.gguf", "Q4_0", None, "q4_0", ["precision.conflict"]),
    ],
)
def test_the_header_wins_where_name_and_header_contradict(name, kind, file_type, precision, told):
    variant, found = described(name, table(kind, file_type))
    assert variant.precision == variant.components[0].precision == precision
    assert codes(found) == told
    assert variant.parameters == 512


def test_all_that_is_said_is_kept():
    variant, found = described("M-Q8_0.gguf", table("Q4_1", "MOSTLY_Q4_0"))
    assert (variant.name, variant.precision) == ("q8_0", "q4_0")
    rows = {"q8_0": 50, "q4_0": 100, "q4_1": 100}
    assert said(found, "variant:tiny-chat:q8_0", "precision") == rows
    (warning,) = found.warnings
    assert warning.text.startswith("M-Q8_0.gguf: its name says q8_0, its header q4_0")


def test_without_a_table_the_name_has_to_do():
    variant, found = described("M-Q8_0.gguf", None)
    assert (variant.precision, variant.parameters) == ("q8_0", 128)
    assert said(found, "variant:tiny-chat:q8_0", "precision") == {"q8_0": 50}


def test_the_header_of_the_smallest_is_wanted_and_the_tables_of_the_others():
    files = {"M-Q8_0.gguf": 8, "M-Q2_K.gguf": 2, "M-Q4_0.gguf": 4, "mmproj-F16.gguf": 1}
    files |= {f"M-F16-0000{n}-of-00002.gguf": 9 for n in (1, 2)} | {"Other-Q8_0.gguf": 8}
    repo = listing(files)
    assert headers_wanted(repo) == ("M-Q2_K.gguf", "Other-Q8_0.gguf", "mmproj-F16.gguf")
    assert sisters_wanted(repo) == (
        ("M-F16-00001-of-00002.gguf", ("M-Q2_K.gguf",), True),
        ("M-Q4_0.gguf", ("M-Q2_K.gguf",), False),
        ("M-Q8_0.gguf", ("M-Q2_K.gguf",), False),
    )


def test_sisters_are_like_all_shards_of_the_smallest():
    shards = tuple(f"M-Q2_K-0000{n}-of-00002.gguf" for n in (1, 2))
    repo = listing(dict.fromkeys(shards, 1) | {"M-Q8_0.gguf": 8})
    assert sisters_wanted(repo) == (("M-Q8_0.gguf", shards, False),)


def test_only_so_many_sisters_are_read():
    repo = listing({"M-Q2_K.gguf": 1} | {f"m/{n}/M-Q8_0.gguf": 2 for n in range(200)})
    assert len(sisters_wanted(repo)) <= 64
    assert sisters_wanted(listing({"config.json": 1})) == ()


def test_a_precision_counts_numbers_not_tensors():
    tensors = {"blk.0.a.weight": (64, 64), "blk.0.b": (2, 2), "blk.0.c": (2, 2)}
    found = find(["m.gguf"], header(tensors=tensors))
    assert np.prod(tensors["blk.0.a.weight"]) > 8
    assert only_model(found).variants[0].precision == "fp16"
