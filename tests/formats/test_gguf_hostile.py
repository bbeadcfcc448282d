"""GGUF files that lie. Each is refused, cheaply, and with `FormatError` alone."""

import random
import sys
from itertools import pairwise
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.errors import FormatError
from modelhub.formats import GGUFHeader, RangeReader, read_gguf
from modelhub.formats.gguf.parser import MAX_TENSORS

from .build import ARRAY, GGUF, STRING, UINT8, UINT32, UINT64, array, pair, small_gguf, tensor, text
from .costs import Remote, accepted, refused

F32 = 0


def raw_array(key: str, kind: int, count: int) -> bytes:
    return text(key) + pack("<IIQ", ARRAY, kind, count)


def one_tensor(shape=(8,), kind=F32, offset=0, data=32) -> GGUF:
    return GGUF(tensors=[tensor("t", shape, kind, offset)], data=data)


LIES = {
    "not gguf": (GGUF(magic=b"GGML"), "begins with b'GGML'"),
    "big endian": (GGUF(version=3 << 24), "big-endian"),
    "version 1": (GGUF(version=1), "version 1"),
    "version 4": (GGUF(version=4), "version 4"),
    "2^63 tensors": (GGUF(n_tensors=1 << 63), "9,223,372,036,854,775,808 tensors"),
    "a million tensors": (GGUF(n_tensors=(1 << 20) + 1), "tensors, more than"),
    "more tensors than bytes": (GGUF(n_tensors=1000), "of at least 24 bytes each"),
    "2^64-1 keys": (GGUF(n_pairs=(1 << 64) - 1), "metadata keys, more than 4,096"),
    "more keys than bytes": (GGUF(n_pairs=1000), "of at least 13 bytes each"),
    "array of 2^40 numbers": (GGUF(pairs=[raw_array("x", UINT8, 1 << 40)]), "1,099,511,627,776"),
    "array of 2^40 texts": (GGUF(pairs=[raw_array("x", STRING, 1 << 40)]), "1,099,511,627,776"),
    "array of 2^64-1 numbers": (GGUF(pairs=[raw_array("x", UINT64, (1 << 64) - 1)]), "elements"),
    "array beyond the file": (GGUF(pairs=[raw_array("x", UINT32, 1 << 20)]), "4 bytes each"),
    "texts beyond the file": (GGUF(pairs=[raw_array("x", STRING, 1 << 20)]), "8 bytes each"),
    "array of arrays": (
        GGUF(pairs=[raw_array("x", ARRAY, 1) + pack("<IQ", ARRAY, 1) * 5000]),
        "array of arrays",
    ),
    "array of unknown type": (GGUF(pairs=[raw_array("x", 13, 0)]), "unknown type 13"),
    "value of unknown type": (GGUF(pairs=[text("x") + pack("<I", 99)]), "unknown type 99"),
    "huge text": (GGUF(pairs=[text("x") + pack("<IQ", STRING, 1 << 62)]), "a text claims"),
    "huge text in an array": (
        GGUF(pairs=[raw_array("x", STRING, 2000) + pack("<Q", 1 << 62) * 2000]),
        "a text claims",
    ),
    "huge key": (GGUF(pairs=[pack("<Q", 1 << 40) + b"x" * 100]), "a text claims"),
    "text beyond the file": (GGUF(pairs=[text("x") + pack("<IQ", STRING, 1 << 19)]), "ends too soon"),
    "text in an array beyond the file": (
        GGUF(pairs=[raw_array("x", STRING, 2000) + pack("<Q", 1 << 19) + bytes(16_000)]),
        "ends too soon",
    ),
    "key that is too long": (
        GGUF(pairs=[pair("x" * (1 << 16), UINT8, 1)]),
        "a text claims 65,536 bytes, more than 65,535",
    ),
    "tensor name that is too long": (
        GGUF(tensors=[tensor("x" * 1025, (8,), F32, 0)], data=64),
        "a text claims 1,025 bytes, more than 1,024",
    ),
    "three million texts": (GGUF(pairs=[raw_array("x", STRING, 3 << 20)]), "8 bytes each"),
    "key is not text": (GGUF(pairs=[pair(b"\xff\xfe", UINT8, 1)]), "not UTF-8"),
    "key twice": (GGUF(pairs=[pair("x", UINT8, 1)] * 2), "'x' comes twice"),
    "alignment 0": (GGUF(pairs=[pair("general.alignment", UINT32, 0)]), "power of two"),
    "alignment 48": (GGUF(pairs=[pair("general.alignment", UINT32, 48)]), "power of two"),
    "alignment 2^17": (GGUF(pairs=[pair("general.alignment", UINT32, 1 << 17)]), "power of two"),
    "alignment as text": (GGUF(pairs=[pair("general.alignment", STRING, "32")]), "not a uint32"),
    "alignment as uint64": (GGUF(pairs=[pair("general.alignment", UINT64, 32)]), "not a uint32"),
    "tensor twice": (GGUF(tensors=[tensor("t", (8,), F32, 0)] * 2, data=64), "'t' comes twice"),
    "tensor name is not text": (GGUF(tensors=[tensor(b"\xff", (8,), F32, 0)], data=64), "not UTF-8"),
    "tensor beyond the file": (one_tensor(data=31), "beyond the end of the file"),
    "tensor far beyond the file": (one_tensor((1 << 40,)), "beyond the end of the file"),
    "tensor offset 2^64": (one_tensor(offset=(1 << 64) - 32), "beyond the end of the file"),
    "product overflows to 0": (one_tensor((1 << 32, 1 << 32)), "beyond the end of the file"),
    "product overflows to 8": (one_tensor((1 << 62, 1 << 62, 1 << 62)), "beyond the end of the file"),
    "dimension 0": (one_tensor((0, 1 << 62)), "dimension of 0"),
    "five dimensions": (one_tensor((1, 1, 1, 1, 8)), "has 5 dimensions"),
    "2^32-1 dimensions": (
        GGUF(tensors=[text("t") + pack("<I", (1 << 32) - 1)], data=64),
        "4294967295 dimensions",
    ),
    "unknown tensor type": (one_tensor(kind=4), "unknown type 4"),
    "half a block": (one_tensor((31,), kind=8), "no multiple of the 32"),
    "offset between alignments": (one_tensor(offset=4, data=64), "no multiple of 32"),
    "overlap": (
        GGUF(tensors=[tensor("a", (16,), F32, 0), tensor("b", (8,), F32, 32)], data=256),
        "it overlaps 'a'",
    ),
    "the same place": (
        GGUF(tensors=[tensor("a", (8,), F32, 32), tensor("b", (8,), F32, 32)], data=256),
        "it overlaps",
    ),
    "one inside another": (
        GGUF(tensors=[tensor("in", (8,), F32, 64), tensor("out", (64,), F32, 0)], data=256),
        "overlaps 'out'",
    ),
    "empty": (b"", "begins with b''"),
    "magic alone": (b"GGUF", "ends too soon"),
}


@pytest.mark.parametrize(("file", "problem"), LIES.values(), ids=LIES)
def test_lies_are_refused_at_once(file, problem):
    error = refused(read_gguf, RangeReader.from_bytes(bytes(file), name="bad.gguf"), bytes_read=64 << 10)
    assert error.message.startswith("bad.gguf: ")
    assert problem in error.message
    assert len(error.message) < 500


@pytest.mark.parametrize("kind", [UINT8, STRING])
@pytest.mark.parametrize("count", [1 << 40, (1 << 24) + 1])
def test_a_remote_that_claims_a_huge_file_cannot_make_an_array_look_likely(kind, count):
    remote = Remote(bytes(GGUF(pairs=[raw_array("x", kind, count)])), 1 << 52)
    refused(read_gguf, remote.reader(), bytes_read=64 << 10)


def test_texts_without_end_stop_at_the_limit():
    # 16 million empty texts are 128 MB, which is more than one header may cost.
    remote = Remote(bytes(GGUF(pairs=[raw_array("x", STRING, 1 << 24)])), 1 << 52)
    refused(read_gguf, remote.reader(), bytes_read=64 << 10)
    fewer = Remote(bytes(GGUF(pairs=[raw_array("x", STRING, 1 << 17)] * 100)), 1 << 52)
    refused(read_gguf, fewer.reader(limit=4 << 20), bytes_read=4 << 20)


def test_skipped_arrays_do_not_go_round_the_limit():
    # Each is jumped over, but the key behind it must be read.
    filler = raw_array("", UINT8, (1 << 17) - 24)
    filler += bytes((1 << 17) - len(filler))
    remote = Remote(b"GGUF" + pack("<IQQ", 3, 0, 60_000), 1 << 52, filler)
    refused(read_gguf, remote.reader(limit=4 << 20), bytes_read=4 << 20)


def test_much_text_is_refused_however_it_is_cut():
    pairs = [pair(f"k{n}", STRING, "x" * 50_000 + "\N{SNOWMAN}") for n in range(60)]
    error = refused(read_gguf, RangeReader.from_bytes(bytes(GGUF(pairs=pairs))))
    assert "bytes of text" in error.message


def test_the_largest_header_stays_within_its_memory():
    count = MAX_TENSORS
    tensors = [tensor(f"t{n:05}", (1, 1, 1, 1000 + n % 7000), F32, 32_768 * n) for n in range(count - 1)]
    tensors.append(tensor("last", (1000,), F32, 31))
    pairs = [pair(f"k{n}", UINT64, (1 << 40) + n) for n in range(1 << 12)]
    remote = Remote(bytes(GGUF(pairs=pairs, tensors=tensors)), 1 << 50)
    error = refused(read_gguf, remote.reader())
    assert "'last'" in error.message


WIDE = "\N{GRINNING FACE}"
MANY = [
    tensor(f"{n:05}{'x' * 40}", (1, 1, 1, 1000 + n % 7000), F32, 65_536 * n) for n in range(MAX_TENSORS)
]
NUMBERS = [array(f"k{n}", UINT64, [(1 << 50) + m for m in range(1024)]) for n in range(17)]
COSTLY = {
    "tensors and keys": GGUF(
        pairs=[pair(f"k{n}", UINT64, (1 << 40) + n) for n in range(1 << 12)], tensors=MANY
    ),
    "wide texts": GGUF(pairs=[pair(f"k{n}", STRING, "x" * 1_040_000 + WIDE) for n in range(2)]),
    "texts that are not UTF-8": GGUF(pairs=[pair("k", STRING, b"\xff" * (1 << 20))]),
    "wide keys": GGUF(pairs=[pair(f"{n:03}{'x' * 65_000}{WIDE}", UINT8, 1) for n in range(32)]),
    "short texts": GGUF(
        pairs=[array(f"k{n}", STRING, ["y" * 90 + WIDE] * 1024) for n in range(17)], tensors=MANY
    ),
    "numbers": GGUF(pairs=NUMBERS, tensors=MANY),
    "empty texts": GGUF(pairs=[raw_array("x", STRING, 1 << 21) + bytes(8 << 21)]),
}


@pytest.mark.parametrize("file", COSTLY.values(), ids=COSTLY)
def test_what_is_accepted_stays_within_its_memory_too(file):
    accepted(read_gguf, Remote(bytes(file), 1 << 50).reader())


@pytest.mark.parametrize("before", [0, 1 << 20])
def test_more_texts_than_any_vocabulary_are_refused_before_they_are_walked(before):
    arrays = [("x", before), ("y", (1 << 21) + 1 - before)]
    pairs = [raw_array(key, STRING, count) + bytes(8 * count) for key, count in arrays]
    reader = Remote(bytes(GGUF(pairs=pairs)), 1 << 50).reader()
    error = refused(read_gguf, reader, bytes_read=8 * before + (4 << 20))
    assert "more than 2,097,152 texts" in error.message


@pytest.mark.parametrize(
    "file",
    [
        GGUF(pairs=[pair(f"{n:03}{'x' * 65_000}{WIDE}", UINT8, 1) for n in range(33)]),
        GGUF(tensors=[tensor(f"{n:05}{'x' * 1000}{WIDE}", (1,), F32, 32 * n) for n in range(2100)]),
        GGUF(
            pairs=[pair(f"k{n}", STRING, "x" * 1_040_000 + WIDE) for n in range(2)]
            + [pair("k", STRING, "x" * 100_000)]
        ),
    ],
    ids=["keys", "names", "texts"],
)
def test_all_texts_share_one_budget(file):
    assert "bytes of text" in refused(read_gguf, Remote(bytes(file), 1 << 50).reader()).message


def test_cut_at_any_byte_it_is_refused():
    file = bytes(small_gguf())
    whole = read_gguf(RangeReader.from_bytes(file))
    assert whole.tensors[-1].offset + whole.tensors[-1].nbytes + whole.data_start == len(file)
    for end in range(len(file)):
        with pytest.raises(FormatError):
            read_gguf(RangeReader.from_bytes(file[:end]))


def outcome(data: bytes) -> GGUFHeader | None:
    try:
        return read_gguf(RangeReader.from_bytes(data))
    except FormatError:
        return None


def check(header: GGUFHeader, size: int) -> None:
    """What a loader may rely on."""
    spans = sorted((header.data_start + t.offset, t.nbytes) for t in header.tensors)
    assert all(start + length <= size for start, length in spans)
    assert all(a + n <= b for (a, n), (b, _) in pairwise(spans))
    for read in (
        "parameters",
        "architecture",
        "context_length",
        "chat_template",
        "precision",
        "split_no",
    ):
        getattr(header, read)


@pytest.mark.soak
def test_changed_at_random_it_is_read_soundly_or_refused(rounds):
    original = bytes(small_gguf())
    seed = random.randrange(1 << 30)
    sys.stdout.write(f"seed {seed}\n")  # shown when it fails
    choose, times = random.Random(seed), rounds(3000, 100_000)
    read = 0
    for _ in range(times):
        data = bytearray(original)
        for _ in range(choose.randrange(1, 4)):
            data[choose.randrange(len(data) - 132)] = choose.choice(
                (0, 1, 2, 8, 9, 127, 255, choose.randrange(256))
            )
        if header := outcome(bytes(data)):
            check(header, len(data))
            read += 1
    assert 0 < read < times


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_are_refused_or_read(tail):
    for head in (b"", b"GGUF\x03\0\0\0", b"GGUF\x02\0\0\0" + pack("<QQ", 1, 1)):
        if header := outcome(head + tail):
            check(header, len(head + tail))


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 1 << 64).map(lambda n: n % (1 << 64)), max_size=5),
            st.integers(0, 45),
            st.integers(0, 20).map(lambda n: 32 * n),
        ),
        max_size=4,
    ),
    st.integers(0, 2000),
)
def test_any_tensor_table_is_refused_or_sound(rows, data):
    tensors = [
        tensor(f"t{n}", tuple(shape), kind, offset) for n, (shape, kind, offset) in enumerate(rows)
    ]
    file = bytes(GGUF(pairs=[array("x", UINT8, [1])], tensors=tensors, data=data))
    if header := outcome(file):
        check(header, len(file))
