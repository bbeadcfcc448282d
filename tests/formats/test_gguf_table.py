"""Tensor tables read where those of like files stand."""

from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.errors import FormatError
from modelhub.formats import HEAD_BYTES, RangeReader, TablePlace, read_gguf, read_gguf_table
from modelhub.formats.gguf.table import SLACK

from .build import GGUF, STRING, UINT32, array, pair, tensor
from .costs import refused

VOCABULARY = [f"token{number}" for number in range(20_000)]
F32, F16, Q8_0 = 0, 1, 8
NAMES = [f"blk.{layer}.{part}.weight" for layer in range(4) for part in ("attn_v", "ffn_down")]
ROW = {F32: 4 * 64, F16: 2 * 64, Q8_0: 34 * 2}


def quantization(
    kind: int, *, extra=(), names=NAMES, file_type: int | None = None, shape=(64, 2)
) -> GGUF:
    """As llama.cpp writes them: what the quantizer adds comes last."""
    step = -(-ROW[kind] * shape[1] // 32) * 32
    offsets = range(0, step * len(names), step)
    stated = [] if file_type is None else [pair("general.file_type", UINT32, file_type)]
    return GGUF(
        pairs=[
            pair("general.architecture", STRING, "llama"),
            array("tokenizer.ggml.tokens", STRING, VOCABULARY),
            *stated,
            *extra,
        ],
        tensors=[tensor(name, shape, kind, at) for name, at in zip(names, offsets, strict=True)],
        data=step * len(names),
    )


def whole(file: GGUF):
    return read_gguf(RangeReader.from_bytes(bytes(file)))


def table(file: GGUF | bytes, like: GGUF, **options):
    data = bytes(file)
    reader = RangeReader.from_bytes(data, first=HEAD_BYTES)
    found = read_gguf_table(reader, TablePlace.learn([whole(like)]), **options)
    assert reader.bytes_read <= HEAD_BYTES + table_bytes(like) + 2 * SLACK
    return found


def table_bytes(file: GGUF) -> int:
    return sum(map(len, file.tensors))


MAIN = quantization(Q8_0, file_type=7)
IMATRIX = pair("quantize.imatrix.file", STRING, "/models/imatrix.dat" * 20)


@pytest.mark.parametrize(
    "sister",
    [
        quantization(F16, file_type=1),
        quantization(F16),
        quantization(F16, file_type=1, extra=[IMATRIX]),
        quantization(F16, names=NAMES[::-1]),
        quantization(F16, names=[*NAMES[3:], *NAMES[:3]], extra=[IMATRIX]),
    ],
    ids=["like", "shorter", "longer", "other order", "both"],
)
def test_a_table_is_found_without_the_vocabulary(sister):
    found = table(sister, MAIN)
    header = whole(sister)
    assert found.tensors == header.tensors
    assert (found.data_start, found.header_bytes) == (header.data_start, header.header_bytes)
    assert (found.parameters, found.file_type) == (header.parameters, header.file_type)
    assert (found.precision, found.mix) == ("fp16", "fp16")


def test_shards_have_some_of_the_names():
    found = table(quantization(F16, names=NAMES[2:5]), MAIN, shard=True)
    assert [row.name for row in found.tensors] == NAMES[2:5]
    assert table(quantization(F16, names=NAMES[2:5]), MAIN) is None


@pytest.mark.parametrize(
    "other",
    [
        quantization(F16, names=[*NAMES[1:], "blk.9.attn_v.weight"]),
        quantization(F16, names=[*NAMES, "blk.9.attn_v.weight"]),
        quantization(F16, shape=(64, 4)),
        quantization(F16, extra=[pair("x", STRING, "x" * (SLACK + 100))]),
        GGUF(),
        quantization(F16, names=NAMES[:1]),
    ],
    ids=["a name", "one more", "shapes", "too far off", "empty", "one alone"],
)
def test_what_is_not_alike_is_not_believed(other):
    assert table(other, MAIN) is None


def test_a_name_twice_is_no_table():
    assert table(quantization(F16, names=[NAMES[0], *NAMES[:-1]]), MAIN) is None


def test_a_text_that_looks_like_rows_is_not_taken_for_the_table():
    row = tensor(NAMES[0], (64, 2), F16, 0)
    assert table(quantization(F16, extra=[pair("x", STRING, row * 3)]), MAIN) is None


def test_a_guessed_file_type_is_none():
    assert table(quantization(F16, file_type=1024 | 2), MAIN).file_type is None


LIES = {
    "no gguf": (GGUF(magic=b"GGML"), "not a GGUF file"),
    "big endian": (GGUF(version=3 << 24), "big-endian"),
    "2^63 tensors": (GGUF(n_tensors=1 << 63), "9,223,372,036,854,775,808 tensors"),
    "beyond the file": (GGUF(**{**vars(quantization(F16)), "data": 64}), "beyond the end"),
    "unknown type": (
        GGUF(**{**vars(MAIN), "tensors": [row[:-12] + pack("<IQ", 99, 0) for row in MAIN.tensors]}),
        "unknown type 99",
    ),
    "overlap": (
        GGUF(**{**vars(MAIN), "tensors": [row[:-8] + pack("<Q", 0) for row in MAIN.tensors]}),
        "overlaps",
    ),
}


@pytest.mark.parametrize(("file", "problem"), LIES.values(), ids=LIES)
def test_lies_are_refused(file, problem):
    place = TablePlace.learn([whole(MAIN)])
    reader = RangeReader.from_bytes(bytes(file), first=HEAD_BYTES)
    error = refused(lambda reader: read_gguf_table(reader, place), reader)
    assert problem in error.message


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_changed_bytes_cost_no_more_than_a_table(data):
    file = bytearray(bytes(quantization(F16, file_type=1, extra=[IMATRIX])))
    start = whole(MAIN).table_start
    places = st.one_of(st.integers(0, 23), st.integers(start - SLACK, len(file) - 1))
    for _ in range(data.draw(st.integers(1, 8))):
        file[data.draw(places)] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(file))))
    try:
        found = table(bytes(file[:cut]), MAIN)
    except FormatError:
        return
    assert found is None or len(found.tensors) == len(NAMES)


def test_many_rows_that_could_be_the_first_cost_little():
    names = [f"blk.{number}" for number in range(8000)]
    like = quantization(F32, names=names)
    front = b"".join(tensor(name, (64, 2), F32, 0) for name in names[:80])
    file = quantization(F32, names=[*names[:-1], "other"], extra=[pair("x", STRING, front)])
    assert table(file, like) is None
