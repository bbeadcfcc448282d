"""ONNX files that lie. Each is refused, cheaply, and with `FormatError` alone; or little of it is read."""

import random
import sys
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.errors import FormatError
from modelhub.formats import ONNXHeader, RangeReader, read_onnx
from modelhub.formats.onnx.parser import MAX_DEPTH

from .costs import Remote, accepted, refused
from .onnx_build import (
    FLOAT,
    claim,
    field,
    fields,
    graph,
    model,
    node,
    pair,
    small_onnx,
    tensor,
    unpacking,
    value,
)

TRUE = small_onnx()
GRAPH = graph()
LIES = {
    "empty": (b"", "the version of its format is 0"),
    "a page": (b"<!doctype html><html>you have been logged out</html>", "wire type"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "wire type"),
    "gguf": (b"GGUF\x03\0\0\0" + bytes(64), "wire type"),
    "zeros": (bytes(64), "number 0"),
    "no version": (field(7, GRAPH), "the version of its format is 0"),
    "a negative version": (field(1, -1) + field(7, GRAPH), "is -1"),
    "no graph": (field(1, 8) + field(8, field(2, 17)), "no graph"),
    "no operator sets": (field(1, 8) + field(7, GRAPH), "no operator set"),
    "two graphs": (model(GRAPH, more=field(7, GRAPH)), "two graphs"),
    "a graph of 2^63 bytes": (field(1, 8) + claim(7, 1 << 63), "9,223,372,036,854,775,808 bytes"),
    "a graph beyond the file": (field(1, 8) + claim(7, 1000) + bytes(10), "claims 1,000 bytes where 10"),
    "a producer of 2^63 bytes": (field(1, 8) + claim(2, 1 << 63), "claims 9,223"),
    "a producer that is too long": (field(1, 8) + field(2, "x" * 70_000), "a text claims 70,000"),
    "a node beyond its graph": (model(claim(1, 1 << 40)), "claims 1,099,511,627,776 bytes"),
    "a tensor beyond its graph": (model(claim(5, 99)), "claims 99 bytes where 0"),
    "an input beyond its graph": (model(claim(11, 99)), "claims 99 bytes where 0"),
    "an input that is too long": (model(field(11, field(3, "x" * 70_000))), "an input or output takes"),
    "a shape beyond its input": (model(field(11, field(1, "x") + claim(2, 50))), "claims 50 bytes"),
    "data beyond its tensor": (model(field(5, claim(9, 1 << 62))), "where 0 are left"),
    "half a number": (model(field(5, b"\x08\xff")), "ends too soon"),
    "an endless number": (b"\x08" + b"\xff" * 20, "longer than ten bytes"),
    "an endless tag": (b"\xff" * 20, "longer than ten bytes"),
    "a group": (b"\x0b\x0c", "wire type 3"),
    "a group in a node": (model(graph([b"MatMulNBits\x0b"])), "a field"),
    "a dimension below 0": (model(graph(tensors=[tensor("t", (-4,), raw=b"")])), "the shape [-4]"),
    "2^62 by 2^62": (model(graph(tensors=[tensor("t", (1 << 62,) * 2, raw=b"")])), "claims the shape"),
    "65 dimensions": (model(graph(tensors=[tensor("t", (1,) * 65)])), "more than 64 dimensions"),
    "a thousand packed": (model(field(5, field(1, b"\1" * 1000))), "more than 64 dimensions"),
    "65 dimensions of an input": (model(graph(inputs=[value("x", (1,) * 65)])), "more than 64"),
    "too little data": (model(graph(tensors=[tensor("t", (8,), raw=bytes(31))])), "32 bytes are 31"),
    "too much data": (model(graph(tensors=[tensor("t", (8,), raw=bytes(33))])), "32 bytes are 33"),
    "no data": (model(field(5, fields(1, [8]) + field(2, FLOAT))), "32 bytes are not in the file"),
    "data nowhere": (model(graph(tensors=[tensor("t", external={"offset": "0"})])), "not named"),
    "an offset below 0": (
        model(graph(tensors=[tensor("t", external={"location": "d", "offset": "-1"})])),
        "the offset of its data is '-1'",
    ),
    "an offset of 2^63": (
        model(graph(tensors=[tensor("t", external={"location": "d", "offset": str(1 << 63)})])),
        "the offset of its data",
    ),
    "another length elsewhere": (
        model(graph(tensors=[tensor("t", external={"location": "d", "length": "31"})])),
        "32 bytes are 31 in 'd'",
    ),
    "5,000 files": (
        model(graph(tensors=[tensor(f"t{n}", external={"location": f"d{n}"}) for n in range(5000)])),
        "more than 4,096 files",
    ),
    "5,000 inputs": (
        model(graph(inputs=[value(f"x{n}") for n in range(5000)])),
        "more than 4,096 inputs",
    ),
    "2,000 operator sets": (model(opsets={f"d{n}": 1 for n in range(2000)}), "more than 1,024 operator"),
    "a pair of numbers": (model(more=field(14, field(1, 1) + field(2, 2))), "no pair of texts"),
}


@pytest.mark.parametrize(("file", "problem"), LIES.values(), ids=LIES)
def test_lies_are_refused_at_once(file, problem):
    error = refused(read_onnx, RangeReader.from_bytes(file, name="bad.onnx"), bytes_read=512 << 10)
    assert error.message.startswith("bad.onnx: ")
    assert problem in error.message
    assert error.details["format"] == "onnx"
    assert len(error.message) < 500


def nested(depth: int) -> bytes:
    inner = fields(1, [node()] * 200)
    for _ in range(depth):
        inner = field(1, node("If", field(6, inner)))
    return inner


def test_graphs_in_graphs_are_followed_only_so_far():
    assert accepted(read_onnx, RangeReader.from_bytes(model(nested(2000)))).complete
    deep = field(1, node("If", field(6, fields(1, [unpacking()] * 200))))
    for depth in range(1, MAX_DEPTH + 2):
        assert (read_onnx(RangeReader.from_bytes(model(deep))).packed_bits is None) == (
            depth > MAX_DEPTH
        )
        deep = field(1, node("If", field(6, deep)))


@pytest.mark.parametrize("filler", [b"\x08\x01", b"\x3a\x00", b"\x0a\x00", b"\x92\x03\x00", b"\x72\x00"])
def test_a_remote_that_never_ends_is_given_up(filler):
    for head in (
        field(1, 8),
        field(1, 8) + claim(7, 1 << 50),
        field(1, 8) + claim(7, 1 << 50) + claim(5, 1 << 49),
    ):
        remote = Remote(head, 1 << 52, filler)
        with suppress(FormatError):
            assert not read_onnx(remote.reader()).complete
        assert sum(end - start for start, end in remote.ranges) < 12 << 20
        assert len(remote.ranges) < 1000


@pytest.mark.parametrize(
    "content",
    [
        fields(1, [node(name="x" * 100)]) * 40_000,
        b"".join(field(5, tensor(f"{n}" + "y" * 40, (1,))) for n in range(40_000)),
        b"".join(field(11, value(f"{n}" + "y" * 900, ("batch",) * 60)) for n in range(4000)),
        field(1, unpacking()) * 40_000,
        b"".join(
            field(5, tensor(f"{n}", external={"location": f"{n}" + "z" * 900})) for n in range(4000)
        ),
    ],
    ids=["nodes", "tensors", "inputs", "unpacking", "files"],
)
def test_what_is_large_stays_within_its_memory(content):
    accepted(read_onnx, Remote(model(content), len(model(content))).reader())


def test_all_texts_share_one_budget():
    wide = "\N{GRINNING FACE}"
    content = b"".join(field(5, tensor(f"{n}" + "y" * 5000 + wide)) for n in range(1000))
    assert "bytes of text" in refused(read_onnx, RangeReader.from_bytes(model(content))).message


def test_cut_at_any_byte_it_is_refused_or_lacks_its_metadata():
    whole = read_onnx(RangeReader.from_bytes(TRUE))
    tail = fields(14, [pair(*item) for item in whole.metadata.items()])
    for end in range(len(TRUE)):
        try:
            header = read_onnx(RangeReader.from_bytes(TRUE[:end]))
        except FormatError:
            continue
        assert end >= len(TRUE) - len(tail)
        assert (header.inputs, header.dtypes, header.opsets) == (
            whole.inputs,
            whole.dtypes,
            whole.opsets,
        )


def outcome(data: bytes) -> ONNXHeader | None:
    try:
        header = read_onnx(RangeReader.from_bytes(data))
    except FormatError:
        return None
    for name in ("weights", "quantized", "parameters", "precision"):
        getattr(header, name)
    assert header.nbytes >= 0
    return header


@pytest.mark.soak
def test_changed_at_random_it_is_read_or_refused(rounds):
    seed = random.randrange(1 << 30)
    sys.stdout.write(f"seed {seed}\n")  # shown when it fails
    choose, times = random.Random(seed), rounds(3000, 100_000)
    read_soundly = 0
    for _ in range(times):
        data = bytearray(TRUE)
        for _ in range(choose.randrange(1, 4)):
            data[choose.randrange(len(data))] = choose.choice(
                (0, 1, 2, 8, 127, 255, choose.randrange(256))
            )
        read_soundly += outcome(bytes(data)) is not None
    assert 0 < read_soundly < times


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_are_refused_or_read(tail):
    for head in (b"", field(1, 8), field(1, 8) + claim(7, len(tail)), TRUE):
        outcome(head + tail)
