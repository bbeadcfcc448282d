"""True and lying safetensors files. The oracle is the safetensors package."""

import json
import random
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.numpy import save, save_file

from modelhub.errors import FormatError, UnsafePath
from modelhub.formats import RangeReader, SafetensorsHeader, read_index, read_safetensors
from modelhub.formats.reader import FIRST_BYTES
from modelhub.formats.safetensors import DTYPES, MAX_HEADER, MAX_TENSORS
from modelhub.refs import Precision, RepoPath

from .build import safetensors, small_safetensors
from .costs import Remote, accepted, refused


def read(data: bytes, **options: Any) -> SafetensorsHeader:
    return read_safetensors(RangeReader.from_bytes(data, **options))


def test_what_the_safetensors_package_writes_is_read_as_it_reads_it(tmp_path: Path):
    tensors = {
        "läyer.0/weight": np.ones((3, 5), np.float32),
        'odd "name" \\ {with} braces\n': np.ones((2, 2, 2), np.float16),
        "scalar": np.array(1.0, np.float64),
        "empty": np.zeros((0, 4), np.int64),
        "flags": np.array([True, False]),
    }
    metadata = {"format": "pt", "log": json.dumps({"a": [1, {"b": '"'}]}), "ünï": "\N{SNOWMAN}"}
    save_file(tensors, tmp_path / "m.safetensors", metadata=metadata)
    header = read_safetensors(RangeReader.from_path(tmp_path / "m.safetensors"))
    with safe_open(tmp_path / "m.safetensors", "numpy") as oracle:
        assert header.metadata == oracle.metadata()
        assert {tensor.name for tensor in header.tensors} == set(oracle.keys())
        for tensor in header.tensors:
            theirs = oracle.get_slice(tensor.name)
            assert (list(tensor.shape), tensor.dtype) == (theirs.get_shape(), theirs.get_dtype())
    data = (tmp_path / "m.safetensors").read_bytes()
    for tensor in header.tensors:
        start, end = header.data_start + tensor.start, header.data_start + tensor.end
        assert data[start:end] == tensors[tensor.name].tobytes()


def test_what_it_counts():
    header = read(small_safetensors())
    assert header.parameters == 8
    assert header.dtypes == {"F32": 4, "BF16": 4}
    assert header.precision is Precision.FP32
    packed = small_safetensors(c={"dtype": "I32", "shape": [9], "data_offsets": [24, 60]}) + bytes(36)
    assert read(packed).precision is None
    assert read(safetensors(b"{}", 0)).precision is None


def test_only_the_header_is_asked_for():
    # The first range of huggingface_hub's parser ends at byte 100,000, where it once stumbled.
    for length in (99_993, 99_994, 99_999, 100_000, 100_001, 3_000_000):
        name = "x" * 1000
        entries = (
            f'"{name}{n}":{{"dtype":"U8","shape":[],"data_offsets":[{n},{n + 1}]}}' for n in range(9999)
        )
        header = "{"
        count = 0
        for entry in entries:
            if len(header) + len(entry) + 2 > length:
                break
            header += entry + ","
            count += 1
        data = (header[:-1] + "}").ljust(length).encode()
        assert len(data) == length
        remote = Remote(safetensors(data, 0), 8 + length + count)
        reader = remote.reader()
        assert read_safetensors(reader).parameters == count
        assert reader.bytes_read == max(8 + length, min(FIRST_BYTES, remote.size))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_dtypes_are_those_of_the_safetensors_package(dtype):
    bits, _ = DTYPES[dtype]
    entry = {"dtype": dtype, "shape": [8], "data_offsets": [0, bits]}
    data = safetensors(json.dumps({"a": entry}).encode(), bits)
    assert deserialize(data)[0][1]["dtype"] == dtype
    assert read(data).tensors[0].dtype == dtype


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16], **changes}


def header(data: int = 24, **entries: Any) -> bytes:
    return small_safetensors(**entries)[: -24 or None] + bytes(data)


GOOD = b'{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
BOTH_PARSERS_REFUSE = {
    "empty": (b"", "ends too soon"),
    "seven bytes": (bytes(7), "ends too soon"),
    "header of 0 bytes": (pack("<Q", 0) + b"{}", "claims 0 bytes"),
    "header of 2^63 bytes": (pack("<Q", 1 << 63) + b"{}", "more than 25,000,000"),
    "header beyond the file": (safetensors(b"{}", 0, length=3), "where 2 are left"),
    "no object": (safetensors(b"[]", 0), "b'['"),
    "unfinished": (safetensors(b'{"a":' + GOOD, 1), "ends too soon"),
    "text behind it": (safetensors(b'{"a":' + GOOD + b"}x", 1), "behind"),
    "a comma too many": (safetensors(b'{"a":' + GOOD + b",}", 1), "lacks a name"),
    "no tensor": (safetensors(b'{"a":7}', 0), "lacks a tensor's entry"),
    "no dtype": (
        safetensors(b'{"a":{"shape":[1],"data_offsets":[0,1]}}', 1),
        "fields 'shape, data_offsets'",
    ),
    "unknown dtype": (header(a=entry(dtype="F13")), "unknown dtype 'F13'"),
    "dtype is a list": (header(a=entry(dtype=["F32"])), "unknown dtype"),
    "negative dimension": (header(a=entry(shape=[-2, -2])), "no numbers"),
    "half dimension": (header(a=entry(shape=[2.0, 2])), "no numbers"),
    "true dimension": (header(a=entry(shape=[True, 4])), "no numbers"),
    "shape as text": (header(a=entry(shape="22")), "no numbers"),
    "product overflows to 16": (header(a=entry(shape=[1 << 62, 1 << 62, 4])), "has 16 bytes of data"),
    "one offset": (header(a=entry(data_offsets=[0])), "no numbers"),
    "three offsets": (header(a=entry(data_offsets=[0, 16, 32])), "no numbers"),
    "offset 2^64": (header(a=entry(data_offsets=[0, 1 << 64])), "no numbers"),
    "offsets backwards": (header(a=entry(data_offsets=[16, 0])), "-16 bytes of data"),
    "too little data": (header(23), "beyond the end of the file"),
    "trailing bytes": (header(25), "the file at byte"),
    "overlap": (
        header(24, b={"dtype": "BF16", "shape": [4], "data_offsets": [8, 16]}),
        "overlaps",
    ),
    "hole": (header(32, b={"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]}), "hole"),
    "data before the first": (
        safetensors(json.dumps({"a": entry(data_offsets=[8, 24])}).encode(), 24),
        "hole",
    ),
    "half a byte": (
        safetensors(b'{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,0]}}', 0),
        "bytes of data",
    ),
    "metadata is a number": (safetensors(b'{"__metadata__":{"a":1}}', 0), "metadata values are texts"),
    "metadata is nested": (safetensors(b'{"__metadata__":{"a":{}}}', 0), "metadata values are texts"),
    "metadata is a text": (safetensors(b'{"__metadata__":"a"}', 0), "b'\"'"),
    "name is not utf-8": (safetensors(b'{"\xff":' + GOOD + b"}", 1), "not JSON"),
    "name is half a pair": (safetensors(rb'{"\ud800":' + GOOD + b"}", 1), "not JSON"),
    "control character": (safetensors(b'{"a\n":' + GOOD + b"}", 1), "lacks a name"),
    "deep": (safetensors(b'{"a":{"dtype":' + b"[" * 5000 + b"}}", 0), "is no JSON object"),
    "number with a leading zero": (
        safetensors(b'{"a":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}', 1),
        "is no JSON object",
    ),
    "number too few": (
        safetensors(b'{"a":{"dtype":"U8","shape":[1,],"data_offsets":[0,1]}}', 1),
        "is no JSON object",
    ),
    "number of twenty digits": (
        safetensors(b'{"a":{"dtype":"U8","shape":[18446744073709551617],"data_offsets":[0,1]}}', 1),
        "no numbers",
    ),
    "another encoding": (
        safetensors(b'{"a":{' + GOOD[1:-1].decode().encode("utf-16-le") + b"}}", 1),
        "no JSON",
    ),
    "not a number": (
        safetensors(b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,1]}}', 1),
        "no numbers",
    ),
}


@pytest.mark.parametrize(("data", "problem"), BOTH_PARSERS_REFUSE.values(), ids=BOTH_PARSERS_REFUSE)
def test_lies_are_refused_at_once(data, problem):
    error = refused(
        read_safetensors, RangeReader.from_bytes(data, name="x.safetensors"), bytes_read=64 << 10
    )
    assert error.message.startswith("x.safetensors: ")
    assert problem in error.message
    assert len(error.message) < 500
    with pytest.raises(SafetensorError):
        deserialize(data)


WE_REFUSE = {
    "tensor twice": (safetensors(b'{"a":' + GOOD + b',"a":' + GOOD + b"}", 1), "'a' comes twice"),
    "tensor twice, spelled otherwise": (
        safetensors(b'{"a":' + GOOD + rb',"\u0061":' + GOOD + b"}", 1),
        "'a' comes twice",
    ),
    "metadata twice": (safetensors(b'{"__metadata__":{},"__metadata__":{}}', 0), "comes twice"),
    "metadata key twice": (safetensors(b'{"__metadata__":{"a":"","a":""}}', 0), "'a' comes twice"),
    "field twice": (
        safetensors(b'{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
        "a key comes twice",
    ),
    "another field": (header(a=entry(extra=1)), "fields 'dtype, shape, data_offsets, extra'"),
    "blank before the object": (safetensors(b" {}", 0), "b' '"),
    "more dimensions than numpy has": (
        safetensors(
            json.dumps({"a": entry(dtype="U8", shape=[1] * 65, data_offsets=[0, 1])}).encode(), 1
        ),
        "no numbers",
    ),
}


@pytest.mark.parametrize(("data", "problem"), WE_REFUSE.values(), ids=WE_REFUSE)
def test_what_two_parsers_could_read_in_two_ways_is_refused(data, problem):
    error = refused(read_safetensors, RangeReader.from_bytes(data), bytes_read=64 << 10)
    assert problem in error.message


def many(piece: str, before: bytes = b"{", after: bytes = b"}") -> bytes:
    """A header as long as one may be, of `piece` over and over with its number."""
    pieces = []
    length = 0
    number = 0
    while length < MAX_HEADER - 200:
        pieces.append(piece % number)
        length += len(pieces[-1]) + 1
        number += 1
    return before + ",".join(pieces).encode() + after


@pytest.mark.parametrize(
    "text",
    [
        many('"%x":{}'),
        many('"%x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'),
        many('"%x":""', b'{"__metadata__":{', b"}}"),
        b'{"__metadata__":{"a":"' + b"x" * (MAX_HEADER - 100) + b'"}}',
        b'{"a":' + b"[" * (MAX_HEADER - 10),
        b'{"' + b"a" * (MAX_HEADER - 10),
        b'{"a":{' + b" " * (MAX_HEADER - 10),
        b"{" + b" " * (MAX_HEADER - 10),
        b"{}" + b" " * (MAX_HEADER - 10) + b"x",
    ],
    ids=["objects", "tensors", "metadata", "text", "lists", "name", "blank entry", "blanks", "padding"],
)
def test_a_header_of_the_greatest_length_stays_within_its_memory(text):
    remote = Remote(safetensors(text, 0), 1 << 40)
    refused(read_safetensors, remote.reader())


def table(shape: list[int], count: int = MAX_TENSORS, suffix: str = "") -> bytes:
    entries = (
        f'"{n}{suffix}":{{"dtype":"U8","shape":{shape},"data_offsets":[0,0]}}' for n in range(count)
    )
    return safetensors(("{" + ",".join(entries) + "}").replace(" ", "").encode(), 0)


def metadata(text: str, count: int) -> bytes:
    values = {"__metadata__": {f"k{n}": text for n in range(count)}}
    return safetensors(json.dumps(values, ensure_ascii=False).encode(), 0)


WIDE = "\N{GRINNING FACE}"
HUGE = list(range(1 << 62, (1 << 62) + 63))


@pytest.mark.parametrize(
    "data",
    [
        table([0, *HUGE[:3]]),
        table([0, *HUGE], 2048),
        table([0], 8000, "x" * 1000),
        metadata("x" * 1_040_000 + WIDE, 2),
        metadata("\n" * 500_000 + WIDE, 4),
    ],
    ids=["tensors", "shapes", "names", "wide texts", "escapes"],
)
def test_what_is_accepted_stays_within_its_memory_too(data):
    accepted(read_safetensors, Remote(data, len(data)).reader())


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (table([0], MAX_TENSORS + 2), "more than 20,000 entries"),
        (table([0, *HUGE], 2049), "more than 131,072 dimensions"),
        (table([0], 9000, "x" * 1000), "bytes of text"),
        (metadata("x" * 1_040_000 + WIDE, 3), "bytes of text"),
        (metadata("x" * (1 << 20), 1), "of at most 1,048,576 bytes"),
        (table([0], 1, "x" * 4096), "a name of at most 4,096 bytes"),
    ],
)
def test_what_costs_more_is_refused(data, problem):
    assert problem in refused(read_safetensors, Remote(data, len(data)).reader()).message


def test_a_header_that_the_limit_does_not_allow_is_refused_before_it_is_read():
    remote = Remote(pack("<Q", 5_000_000), 1 << 40)
    refused(read_safetensors, remote.reader(limit=1 << 20), bytes_read=64 << 10)


def test_cut_at_any_byte_it_is_refused():
    data = small_safetensors()
    for end in range(len(data)):
        with pytest.raises(FormatError):
            read(data[:end])


@pytest.mark.parametrize("first", [1, 7, 50, 64 << 10])
def test_changed_at_random_it_is_refused_unless_the_package_agrees(first):
    original = small_safetensors(__metadata__={"format": "pt"})
    choose = random.Random(first)
    accepted = 0
    for _ in range(3000):
        data = bytearray(original)
        for _ in range(choose.randrange(1, 3)):
            data[choose.randrange(len(data))] = choose.choice(b'{}[]":,09a \\\xff\x00')
        try:
            ours = read(bytes(data), first=first)
        except FormatError:
            continue
        accepted += 1
        theirs = dict(deserialize(bytes(data)))
        assert {t.name: (t.dtype, list(t.shape)) for t in ours.tensors} == {
            name: (tensor["dtype"], tensor["shape"]) for name, tensor in theirs.items()
        }
    assert 0 < accepted < 3000


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(1, 64))
def test_any_bytes_are_refused_or_read(tail, first):
    for data in (tail, pack("<Q", len(tail)) + tail, safetensors(b'{"a":' + tail + b"}", 0)):
        try:
            read(data, first=first)
        except FormatError:
            continue
        deserialize(data)


NAMES = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)


# With metadata and no tensor, safetensors 0.8 writes a header that is no JSON.
@settings(deadline=None)
@given(
    st.dictionaries(
        NAMES.filter(lambda name: name != "__metadata__"),
        st.lists(st.integers(0, 4), max_size=4),
        min_size=1,
    ),
    st.dictionaries(NAMES, NAMES),
    st.integers(1, 100),
)
def test_whatever_the_package_writes_is_read(shapes, metadata, first):
    tensors = {name: np.zeros(shape, np.float16) for name, shape in shapes.items()}
    ours = read(save(tensors, metadata=metadata), first=first)
    assert {tensor.name: list(tensor.shape) for tensor in ours.tensors} == shapes
    assert ours.metadata == metadata
    assert ours.parameters == sum(tensor.size for tensor in tensors.values())


def index(**changes: Any) -> bytes:
    weights = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    return json.dumps({"metadata": {"total_size": 24}, "weight_map": weights, **changes}).encode()


def test_an_index_maps_tensors_to_shards():
    shards = read_index(index())
    assert shards == {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    assert all(isinstance(shard, RepoPath) for shard in shards.values())


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no JSON object"),
        (b"[]", "it is a list"),
        (b"{}", "weight_map"),
        (b"\xff", "no JSON object"),
        (index(weight_map=[]), "weight_map"),
        (index(weight_map={"a": 1}), "weight_map"),
        (b'{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}', "comes twice"),
        (b"[" * 900, "no JSON object"),
        (b"[" * 2000, "objects and lists"),
        (b'{"weight_map":{' + b'"":"",' * (1 << 21), "larger than any"),
        (b'{"weight_map":"' + b" " * (32 << 20), "larger than any"),
        (index(weight_map={"a": "x.safetensors"}, more={str(n): {} for n in range(1000)}), "objects"),
    ],
)
def test_what_is_no_index_is_refused(data, problem):
    with pytest.raises(FormatError, match=problem) as caught:
        read_index(data, name="model.safetensors.index.json")
    assert caught.value.message.startswith("model.safetensors.index.json: ")


@pytest.mark.parametrize("shard", ["../x.safetensors", "/etc/passwd", "a\\b", "", "C:x", ".git/config"])
def test_shards_that_leave_their_folder_are_refused(shard):
    with pytest.raises(UnsafePath):
        read_index(index(weight_map={"a": shard}))
