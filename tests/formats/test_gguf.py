"""True GGUF files. The oracle is the gguf package, which reads them by another road."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from modelhub.formats import ArraySummary, RangeReader, read_gguf
from modelhub.formats.gguf.parser import KEPT_ARRAY
from modelhub.refs import Precision

from .build import ARRAY, FLOAT32, GGUF, STRING, UINT8, UINT32, UINT64, array, pair, small_gguf, tensor
from .costs import Remote

TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


def write(path: Path, *, vocabulary: int = 3000) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_block_count(2)
    writer.add_head_count_kv([2, 4])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_chat_template(TEMPLATE)
    writer.add_token_list([f"t{n}" for n in range(vocabulary)])
    writer.add_token_scores([float(n) for n in range(vocabulary)])
    writer.add_array("general.tags", ["chat", "tiny"])
    writer.add_float32("llama.rope.freq_base", 10000.0)
    writer.add_bool("tokenizer.ggml.add_bos_token", val=True)
    writer.add_uint64("general.big", (1 << 64) - 1)
    writer.add_int8("general.negative", -3)
    writer.add_tensor("norm.weight", np.zeros(64, np.float32))
    writer.add_tensor(
        "blk.0.weight",
        gguf.quants.quantize(np.ones((8, 64), np.float32), gguf.GGMLQuantizationType.Q8_0),
        raw_dtype=gguf.GGMLQuantizationType.Q8_0,
    )
    writer.add_tensor("conv.weight", np.zeros((2, 3, 5), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("gguf") / "model.gguf")


def test_what_the_gguf_package_writes_is_read_as_it_reads_it(written: Path):
    header = read_gguf(RangeReader.from_path(written))
    oracle = gguf.GGUFReader(written)
    fields = {key: field for key, field in oracle.fields.items() if not key.startswith("GGUF.")}
    assert header.metadata.keys() == fields.keys()
    for key, field in fields.items():
        ours, theirs = header.metadata[key], field.contents()
        if isinstance(ours, ArraySummary):
            assert ours.count == len(theirs)
            assert ours.type == field.types[-1].name.lower()
        else:
            assert (list(ours) if isinstance(ours, tuple) else ours) == theirs
    assert header.alignment == oracle.alignment
    assert header.data_start == oracle.data_offset
    assert [
        (t.name, t.type, t.shape, t.nbytes, header.data_start + t.offset) for t in header.tensors
    ] == [
        (t.name, t.tensor_type.name, tuple(t.shape.tolist()), t.n_bytes, t.data_offset)
        for t in oracle.tensors
    ]
    assert header.parameters == sum(int(t.n_elements) for t in oracle.tensors)


def test_the_usual_questions(written: Path):
    header = read_gguf(RangeReader.from_path(written))
    assert header.version == 3
    assert header.architecture == "llama"
    assert header.context_length == 4096
    assert header.chat_template == TEMPLATE
    assert header.file_type == 7
    assert header.precision is Precision.Q8_0
    assert (header.split_no, header.split_count, header.split_tensors) == (0, 1, None)
    assert header.metadata["llama.attention.head_count_kv"] == (2, 4)
    assert header.metadata["tokenizer.ggml.tokens"] == ArraySummary("string", 3000)
    assert header.length("tokenizer.ggml.tokens") == 3000
    assert header.length("general.tags") == 2
    assert header.length("general.architecture") is None
    assert header.text("general.big") is None
    assert header.integer("general.negative") is None
    assert header.integer("tokenizer.ggml.add_bos_token") is None
    assert header.hyperparameter("block_count") == 2


def test_shards_are_known(tmp_path: Path):
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama", split_max_tensors=1)
    for name in "abc":
        writer.add_tensor(name, np.zeros(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    headers = [read_gguf(RangeReader.from_path(path)) for path in sorted(tmp_path.iterdir())]
    assert [header.split_no for header in headers] == [0, 1, 2]
    assert {header.split_count for header in headers} == {3}
    assert {header.split_tensors for header in headers} == {3}
    assert [header.parameters for header in headers] == [32, 32, 32]


@pytest.mark.parametrize("version", [2, 3])
def test_both_versions(version):
    file = small_gguf()
    file.version = version
    header = read_gguf(RangeReader.from_bytes(bytes(file)))
    assert header.version == version
    assert [tensor.nbytes for tensor in header.tensors] == [64, 68]


def test_of_a_large_file_only_the_header_is_asked_for():
    tokens = [f"token-{n}" for n in range(40_000)]
    file = GGUF(
        pairs=[
            pair("general.architecture", STRING, "llama"),
            array("tokenizer.ggml.tokens", STRING, tokens),
            array("tokenizer.ggml.scores", FLOAT32, [0.5] * 40_000),
            pair("llama.block_count", UINT32, 3),
        ],
        tensors=[tensor("huge", (1 << 30, 8), 0, 0)],
    )
    head = bytes(file)
    remote = Remote(head, len(head) + (8 << 32))
    reader = remote.reader()
    header = read_gguf(reader)
    assert header.parameters == 8 << 30
    assert header.hyperparameter("block_count") == 3
    assert header.header_bytes <= header.data_start <= len(head)
    # One range beyond what is needed at most, and each array of numbers is jumped over.
    assert reader.bytes_read < 2 * len(head)


def test_long_arrays_are_counted_and_short_ones_kept():
    file = GGUF(
        pairs=[
            array("short", UINT32, range(KEPT_ARRAY)),
            array("long", UINT32, range(KEPT_ARRAY + 1)),
            array("empty", STRING, []),
            array("names", STRING, ["x"] * (KEPT_ARRAY + 1)),
        ]
    )
    header = read_gguf(RangeReader.from_bytes(bytes(file)))
    assert header.metadata == {
        "short": tuple(range(KEPT_ARRAY)),
        "long": ArraySummary("uint32", KEPT_ARRAY + 1),
        "empty": (),
        "names": ArraySummary("string", KEPT_ARRAY + 1),
    }


def test_another_alignment_moves_the_data():
    pairs = [pair("general.alignment", UINT32, 4096)]
    tensors = [tensor("a", (8,), 0, 0), tensor("b", (8,), 0, 4096)]
    file = GGUF(pairs=pairs, tensors=tensors, data=4096 + 32, alignment=4096)
    header = read_gguf(RangeReader.from_bytes(bytes(file)))
    assert (header.alignment, header.data_start) == (4096, 4096)


def test_a_file_without_tensors_needs_no_data():
    header = read_gguf(RangeReader.from_bytes(bytes(GGUF(alignment=1))))
    assert header.tensors == ()
    assert header.parameters == 0
    assert header.precision is None


@pytest.mark.parametrize(
    ("pairs", "precision"),
    [
        ([], Precision.Q4_K),
        ([pair("general.file_type", UINT32, 15)], Precision.Q4_K_M),
        ([pair("general.file_type", UINT32, 15 | 1024)], Precision.Q4_K),
        ([pair("general.file_type", UINT32, 999)], Precision.Q4_K),
        ([pair("general.file_type", STRING, "Q8_0")], Precision.Q4_K),
    ],
)
def test_precision_is_the_file_type_or_what_most_elements_have(pairs, precision):
    tensors = [tensor("a", (256,), 12, 0), tensor("b", (32,), 0, 160), tensor("c", (512,), 24, 288)]
    header = read_gguf(RangeReader.from_bytes(bytes(GGUF(pairs=pairs, tensors=tensors, data=800))))
    assert header.precision is precision


def test_a_text_that_is_not_utf8_is_still_read():
    header = read_gguf(RangeReader.from_bytes(bytes(GGUF(pairs=[pair("note", STRING, b"\xff!")]))))
    assert header.text("note") == "\N{REPLACEMENT CHARACTER}!"


def test_when_the_budget_for_arrays_is_spent_they_are_counted_only():
    pairs = [array(f"a{n}", UINT8, [0] * KEPT_ARRAY) for n in range(17)]
    header = read_gguf(RangeReader.from_bytes(bytes(GGUF(pairs=pairs))))
    assert header.metadata["a15"] == (0,) * KEPT_ARRAY
    assert header.metadata["a16"] == ArraySummary("uint8", KEPT_ARRAY)


def test_hyperparameters_without_an_architecture_are_unknown():
    header = read_gguf(
        RangeReader.from_bytes(bytes(GGUF(pairs=[pair("x", UINT64, 1), pair("y", UINT8, 1)])))
    )
    assert header.architecture is None
    assert header.context_length is None
    assert ARRAY not in header.metadata.values()
