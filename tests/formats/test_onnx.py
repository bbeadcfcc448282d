"""ONNX files as they are: what their graph takes, gives and holds, and what of a file is read for it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.formats import Content, ONNXHeader, ONNXValue, RangeReader, read_onnx, sniff
from modelhub.formats.onnx.parser import GRAPH_BYTES, MAX_JUMPS
from modelhub.formats.reader import FIRST_BYTES
from modelhub.refs import Precision

from .costs import Remote
from .onnx_build import (
    DOMAIN,
    FLOAT,
    FLOAT16,
    INT4,
    INT8,
    INT64,
    STRING,
    UINT8,
    field,
    fields,
    graph,
    model,
    node,
    small_onnx,
    tensor,
    unpacking,
    value,
    varint,
)


def read(data: bytes, **options) -> ONNXHeader:
    return read_onnx(RangeReader.from_bytes(data, **options))


def of_tensors(*tensors: bytes) -> ONNXHeader:
    return read(model(graph(tensors=tensors)))


@pytest.mark.parametrize("first", [1, 7, 1 << 14])
def test_what_a_file_says_of_itself(first):
    header = read(small_onnx(), first=first)
    assert (header.ir_version, header.producer, header.producer_version) == (10, "zoo", "1.0")
    assert (header.opsets, header.graph, header.complete) == ({"": 17}, "main", True)
    # An input that is an initializer too is a weight with a name, and nobody's to give.
    assert header.inputs == (ONNXValue("images", "tensor", "float32", ("batch", 3, None, 640)),)
    assert header.outputs == (
        ONNXValue("output0", "tensor", "float32", ("batch", 84, 8400)),
        ONNXValue("any", "tensor", "float32", None),
    )
    assert header.dtypes == {"float32": 8, "float16": 4, "int64": 2}
    assert (header.nbytes, header.external) == (8 * 4 + 4 * 2 + 2 * 8, {})
    assert header.metadata == {"task": "detect", "names": "{0: 'person'}"}


def test_whole_numbers_that_are_no_weights_are_no_parameters():
    header = read(small_onnx())
    assert header.weights == {"float32": 8, "float16": 4}
    assert (header.parameters, header.precision, header.quantized) == (12, Precision.FP32, False)


@pytest.mark.parametrize(
    ("tensors", "nodes", "precision"),
    [
        ([tensor("w", (8,), FLOAT16), tensor("b", (2,))], [], Precision.FP16),
        ([tensor("w", (8,), INT8), tensor("b", (2,))], [], Precision.INT8),
        ([tensor("w", (8,), UINT8), tensor("b", (2,))], [], Precision.INT8),
        ([tensor("w", (8,), INT4), tensor("b", (2,))], [], Precision.INT4),
        ([tensor("w", (8,), UINT8)], [unpacking(None)], Precision.INT4),
        ([tensor("w", (8,), UINT8)], [unpacking(2)], Precision.INT2),
        ([tensor("w", (8,), UINT8)], [unpacking(8)], Precision.INT8),
        ([tensor("w", (8,), UINT8)], [unpacking(5)], None),
        ([tensor("w", (8,), UINT8)], [node("MatMulBnb4")], Precision.INT4),
        # A table of words that stays as it is outweighs the rest of a small model.
        ([tensor("w", (8,), UINT8), tensor("e", (800,))], [unpacking(4)], Precision.INT4),
        ([tensor("w", (8,))], [node("MatMul", name="was MatMulNBits")], Precision.FP32),
        ([tensor("k", (8,), INT64)], [], None),
        ([], [], None),
    ],
)
def test_the_precision_of_weights(tensors, nodes, precision):
    header = read(model(graph(nodes, tensors), opsets={"": 21, DOMAIN: 1}))
    assert header.precision is precision
    assert header.opsets == {"": 21, DOMAIN: 1}
    assert (header.parameters is None) == (header.quantized or not header.weights)


def test_nodes_are_looked_for_in_the_branches_of_others():
    branch = graph([unpacking() for _ in range(100)], [tensor("inner", (8,), UINT8)])
    branches = [field(1, "then_branch") + field(6, branch), field(1, "else_branch") + field(6, branch)]
    header = read(model(graph([node("If", *branches)])))
    assert (header.packed_bits, header.dtypes) == (4, {"uint8": 16})


def test_weights_in_nodes_are_jumped_over():
    constant = field(1, "value") + field(5, tensor("c", (1 << 20,)))
    remote = Remote(model(graph([node("Constant", constant)], [tensor("w")])), 1 << 23)
    header = read_onnx(RangeReader(remote.read, len(remote.head)))
    assert header.dtypes == {"float32": 8}
    assert sum(end - start for start, end in remote.ranges) <= 3 * FIRST_BYTES


def test_weights_elsewhere_are_named_with_what_they_need():
    def at(file: str, **more: str) -> dict[str, str]:
        return {"location": file, **more}

    header = of_tensors(
        tensor("a", (4,), external=at("m.onnx_data", offset="0", length="16")),
        tensor("b", (2,), FLOAT16, external=at("m.onnx_data", offset="4096", length="4")),
        tensor("c", (2,), FLOAT16, external=at("m.onnx_data_1", checksum="0")),
    )
    assert header.external == {"m.onnx_data": 4100, "m.onnx_data_1": 4}
    assert (header.parameters, header.nbytes) == (8, 24)


def test_shapes_are_written_packed_or_not():
    packed = field(1, varint(3) + varint(4)) + field(2, FLOAT) + field(8, "p") + field(9, bytes(48))
    assert of_tensors(packed).dtypes == {"float32": 12}


def test_data_may_stand_in_fields_of_its_own_type():
    head = fields(1, [3]) + field(8, "t")
    floats = head + field(2, FLOAT) + field(4, bytes(12))
    numbers = head + field(2, INT64) + field(7, varint(1) * 3)
    halves = head + field(2, FLOAT16) + b"".join(field(5, n) for n in range(3))
    texts = head + field(2, STRING) + fields(6, ["a", "b", ""])
    header = of_tensors(floats, numbers, halves, texts)
    assert header.dtypes == {"float32": 3, "int64": 3, "float16": 3, "string": 3}


def test_sparse_weights_count_what_is_stored():
    sparse = field(1, tensor("s", (5,))) + field(2, tensor("", (5,), INT64)) + fields(3, [1000])
    assert read(model(graph() + field(15, sparse))).weights == {"float32": 5}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (field(4, b""), "sequence"),
        (field(5, b""), "map"),
        (field(9, b""), "optional"),
        (field(8, b""), "sparse_tensor"),
        (field(6, "denotation"), ""),
        (b"", ""),
    ],
)
def test_values_that_are_no_tensors(content, kind):
    header = read(model(graph(inputs=[field(1, "x") + field(2, content)])))
    assert header.inputs == (ONNXValue("x", kind),)


def test_unknown_fields_and_types_are_passed_over():
    more = field(6, "about") + field(25, b"\xff\xff") + field(900, 7) + b"\x99\x38" + bytes(8)
    other = fields(1, [2]) + field(2, 99) + field(8, "new") + field(9, b"?")
    header = read(model(graph([], [other], [value("x", (-1,), 99)]) + field(13, value("y")), more=more))
    assert header.dtypes == {"unknown": 2}
    assert header.inputs == (ONNXValue("x", "tensor", "", (None,)),)
    assert header.parameters is None


def test_long_properties_are_left_out():
    header = read(model(metadata={"vocabulary": "x" * 70_000, "task": "detect"}))
    assert header.metadata == {"task": "detect"}
    many = read(model(metadata={f"k{n}": "v" for n in range(2000)}))
    assert len(many.metadata) == 1024


def large(tensors: int, size: int = 1 << 20) -> tuple[bytes, int]:
    """A file with weights of so many bytes each, of which only what stands between them is given."""
    data = [tensor(f"w{n}", (size // 4,)) for n in range(tensors)]
    file = model(graph([node()] * 1000, data, [value("x")], [value("y")]), metadata={"k": "v"})
    return file, len(file)


def test_of_a_remote_file_little_is_read():
    file, size = large(40)
    remote = Remote(file, size)
    header = read_onnx(remote.reader())
    assert header.complete
    assert (header.nbytes, header.parameters) == (40 << 20, 10 << 20)
    assert [each.name for each in (*header.inputs, *header.outputs)] == ["x", "y"]
    # The nodes in growing pieces, then a little behind each tensor.
    assert sum(end - start for start, end in remote.ranges) <= 45 * FIRST_BYTES + (128 << 10)


def test_after_many_jumps_it_says_what_it_has():
    file, size = large(MAX_JUMPS + 100, 1 << 16)
    remote = Remote(file, size)
    header = read_onnx(remote.reader())
    assert not header.complete
    assert (header.opsets, header.metadata) == ({"": 17}, {"k": "v"})
    assert (header.inputs, header.outputs, header.parameters) == ((), (), None)
    assert header.precision is Precision.FP32
    assert len(remote.ranges) < MAX_JUMPS + 20


def test_after_many_nodes_it_says_what_it_has():
    nodes = fields(1, [node(name="x" * 3000)]) * (4 * GRAPH_BYTES // 3000)
    remote = Remote(model(nodes + graph(tensors=[tensor("w")])), 0)
    reader = RangeReader(remote.read, len(remote.head))
    remote.size = len(remote.head)
    header = read_onnx(reader)
    assert (header.complete, header.opsets, header.dtypes) == (False, {"": 17}, {})
    assert reader.bytes_read < GRAPH_BYTES + (3 << 20)


def test_it_keeps_within_a_smaller_limit():
    nodes = fields(1, [node(name="x" * 3000)]) * 5000
    reader = RangeReader.from_bytes(model(nodes), limit=8 << 20)
    assert not read_onnx(reader).complete
    assert reader.bytes_read < 8 << 20


def test_its_beginning_is_known_for_what_it_is():
    assert sniff(small_onnx()) is Content.ONNX


NAMES = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)


@settings(deadline=None)
@given(
    st.dictionaries(NAMES, st.lists(st.integers(0, 4), max_size=4), max_size=5),
    st.lists(st.one_of(st.integers(0, 1 << 40), st.none(), NAMES.filter(bool)), max_size=5),
    st.dictionaries(NAMES, NAMES, max_size=5),
    st.integers(1, 100),
)
def test_whatever_is_written_is_read(shapes, lengths, metadata, first):
    tensors = [tensor(name, shape) for name, shape in shapes.items()]
    data = model(graph([node()], tensors, outputs=[value("y", lengths)]), metadata=metadata)
    header = read(data, first=first)
    assert header.outputs[0].shape == tuple(lengths)
    assert header.metadata == metadata
    assert header.complete
