"""GGUF repositories, end to end: what is read of them, counted by the server, and what damage costs."""

import shutil
from pathlib import Path
from struct import pack

import pytest

from modelhub.errors import FormatError
from modelhub.facts import SyncStatus
from modelhub.formats import HEAD_BYTES
from modelhub.formats.ggml import GGML_TYPES
from modelhub.formats.gguf.table import SLACK
from tests.formats.build import GGUF, STRING, UINT32, array, pair, tensor, text

BIG = "zoo/Big-GGUF"
Q8_0, Q4_K = 8, 12
BLOCKS = {kind.id: (kind.block, kind.bytes) for kind in GGML_TYPES.values()}
NAMES = [
    f"blk.{layer}.{part}.weight"
    for layer in range(32)
    for part in ("attn_k", "attn_output", "attn_q", "attn_v", "ffn_down", "ffn_gate", "ffn_up")
]
ROWS = (256, 64)
OVERSHOOT = 2 << 20
"""A header's length is not known before: it is asked for in pieces of up to this."""

QUANTIZATIONS = {
    "F32": (0, 0),
    "F16": (1, 1),
    "BF16": (30, 32),
    "Q8_0": (8, 7),
    "Q6_K": (14, 18),
    "Q5_K_M": (13, 17),
    "Q5_K_S": (13, 16),
    "Q5_1": (7, 9),
    "Q5_0": (6, 8),
    "Q4_K_M": (12, 15),
    "Q4_K_S": (12, 14),
    "IQ4_NL": (20, 25),
    "IQ4_XS": (23, 30),
    "Q4_1": (3, 3),
    "Q4_0": (2, 2),
    "Q3_K_L": (11, 13),
    "Q3_K_M": (11, 12),
    "Q3_K_S": (11, 11),
    "Q2_K": (10, 10),
    "UD-IQ1_M": (29, 31),
}
"""Tensor type and file type of each."""


def vocabulary() -> list[bytes]:
    """A tokenizer as large as real ones are: 10 MB."""
    words = [f"{number:042}" for number in range(200_000)]
    return [
        pair("tokenizer.ggml.model", STRING, "gpt2"),
        array("tokenizer.ggml.tokens", STRING, words),
        pair("tokenizer.chat_template", STRING, "{{ messages }}"),
    ]


TOKENIZER = vocabulary()


def quantization(kind: int, file_type: int, *, made_of: str = "", names=NAMES) -> GGUF:
    """What the quantizer adds comes last, and its tensors are in an order of their own."""
    block, size = BLOCKS[kind]
    nbytes = ROWS[0] // block * size * ROWS[1]
    names = names if kind == 1 else sorted(names, reverse=True)
    return GGUF(
        pairs=[
            pair("general.architecture", STRING, "llama"),
            pair("llama.context_length", UINT32, 8192),
            *TOKENIZER,
            *([pair("quantize.imatrix.file", STRING, made_of)] if made_of else []),
            pair("general.file_type", UINT32, file_type),
        ],
        tensors=[tensor(name, ROWS, kind, place * nbytes) for place, name in enumerate(names)],
        data=nbytes * len(names),
    )


def write(folder: Path, files: dict[str, GGUF | bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, file in files.items():
        (folder / name).write_bytes(bytes(file))
    return folder


@pytest.fixture(scope="module")
def big(tmp_path_factory) -> Path:
    """Twenty quantizations of one model, each with its own vocabulary of 10 MB."""
    folder = tmp_path_factory.mktemp("big")
    for name, (kind, number) in QUANTIZATIONS.items():
        imatrix = "" if kind < Q8_0 else f"/models/{name}/imatrix_unsloth.gguf"
        write(folder, {f"Big-{name}.gguf": quantization(kind, number, made_of=imatrix)})
    return folder


def header_bytes(file: GGUF) -> int:
    return len(bytes(file)) - file.data


def test_one_header_is_read_whole_and_the_tables_of_its_sisters(hub, server, big):
    server.add(BIG, big)
    report = hub.inspect(BIG)
    assert report.warnings == ()
    (model,) = report.models
    assert len(model.variants) == 20
    assert model.details["tensor_bytes"] == {
        f"Big-{name}.gguf": quantization(*types).data for name, types in QUANTIZATIONS.items()
    }
    parameters = len(NAMES) * ROWS[0] * ROWS[1]
    assert {variant.parameters for variant in model.variants} == {parameters}
    assert {v.precision for v in model.variants} == {
        name.lower().replace("ud-", "").replace("f", "fp").replace("bfp", "bf") for name in QUANTIZATIONS
    }
    main = quantization(Q4_K, 14)
    table = sum(map(len, main.tensors))
    head = header_bytes(main)
    assert 10_000_000 < head < 11_000_000
    sent = server.bytes_sent(".gguf")
    assert head < sent <= head + OVERSHOOT + 19 * (HEAD_BYTES + table + 2 * SLACK)
    assert sent < 13_000_000 < 16 << 20
    assert hub.inspect(BIG) == report


def test_sisters_that_differ_are_read_whole_but_not_all_of_them(hub, server, tmp_path):
    folder = tmp_path / "differ"
    write(folder, {"M-Q4_K_S.gguf": quantization(Q4_K, 14)})
    for number in range(6):
        other = quantization(Q8_0, 7, names=[*NAMES, *(f"more.{n}" for n in range(number + 1))])
        write(folder, {f"M-UD{number}-Q8_0.gguf" if number else "M-Q8_0.gguf": other})
    server.add(BIG, folder)
    report = hub.inspect(BIG)
    assert report.warnings == ()
    assert {v.precision for model in report.models for v in model.variants} == {"q8_0", "q4_k_s"}


LIES = {
    "big endian": (GGUF(version=3 << 24), "big-endian"),
    "version 1": (GGUF(version=1), "version 1"),
    "2^63 tensors": (GGUF(n_tensors=1 << 63), "9,223,372,036,854,775,808 tensors"),
    "a text beyond the file": (
        GGUF(pairs=[pair("x", STRING, "x")[:-9] + b"\xff\xff\0\0\0\0\0\0"]),
        "ends too soon",
    ),
    "empty": (b"", "not a GGUF file"),
    "a page": (b"<!doctype html>", "not a GGUF file"),
}


@pytest.mark.parametrize(("lie", "problem"), LIES.values(), ids=LIES)
@pytest.mark.parametrize("name", ["zoo-chat-q4_0.gguf", "zoo-chat-f16.gguf"])
def test_a_damaged_file_hides_no_others(hub, server, zoo_gguf, tmp_path, name, lie, problem):
    bad = write(shutil.copytree(zoo_gguf, tmp_path / "bad"), {name: lie})
    server.push("zoo/tiny-chat-GGUF", bad)
    report = hub.sync("zoo/tiny-chat-GGUF")
    (warning,) = report.warnings
    assert warning.code == "header.damaged"
    assert warning.text.startswith(f"{name}: ")
    assert problem in warning.text
    (model,) = report.models
    assert (model.task, model.architecture, len(model.variants)) == ("text-generation", "llama", 3)
    assert name not in {file.path for v in model.variants for _, file in v.files()}
    assert name in {file.path for file in hub.files("zoo/tiny-chat-GGUF")}
    assert hub.repos()[0].sync_status is SyncStatus.COMPLETED


@pytest.mark.parametrize(("lie", "problem"), LIES.values(), ids=LIES)
def test_a_repository_of_damage_alone_is_in_error(hub, server, tmp_path, lie, problem):
    server.add("zoo/damaged", write(tmp_path / "damaged", {"m-q8_0.gguf": lie, "m-q4_0.gguf": lie}))
    hub.register("zoo/damaged")
    with pytest.raises(FormatError) as caught:
        hub.sync("zoo/damaged")
    assert problem in caught.value.message
    (record,) = [each for each in hub.repos() if each.repo.name == "damaged"]
    assert record.sync_status is SyncStatus.ERROR


def test_damage_does_not_hide_what_was_known(hub, server, zoo_gguf, tmp_path):
    before = hub.sync("zoo/tiny-chat-GGUF")
    files = {path.name: b"" for path in zoo_gguf.glob("*.gguf")}
    server.push("zoo/tiny-chat-GGUF", write(tmp_path / "bad", files))
    with pytest.raises(FormatError):
        hub.sync("zoo/tiny-chat-GGUF")
    assert hub.inspect("zoo/tiny-chat-GGUF") == before


BOOL = 7
VISION = "zoo/tiny-vision-GGUF"


@pytest.fixture
def vision(server, zoo_gguf, tmp_path) -> Path:
    """The zoo's chat model with a projector of two precisions beside it."""
    folder = shutil.copytree(zoo_gguf, tmp_path / "vision")
    projector = GGUF(
        pairs=[
            pair("general.architecture", STRING, "clip"),
            pair("general.type", STRING, "mmproj"),
            text("clip.has_vision_encoder") + pack("<I?", BOOL, True),
            pair("clip.projector_type", STRING, "gemma3"),
        ],
        tensors=[tensor("mm.weight", (64, 32), 1, 0)],
        data=64 * 32 * 2,
    )
    write(folder, {"mmproj-F16.gguf": projector, "mmproj-F32.gguf": projector})
    server.add(VISION, folder)
    return folder


def test_a_projector_is_a_component_that_chatting_does_without(hub, server, vision):
    report = hub.inspect(VISION)
    assert report.warnings == ()
    (model,) = report.models
    assert (model.task, model.details["modalities"]) == ("text-generation", ["text", "image"])
    assert model.details["projector_types"] == ["gemma3"]
    for variant in model.variants:
        main, projector = variant.components
        assert (main.name, projector.name, projector.precision) == ("model", "projector", "fp16")
        assert [file.path for file in projector.files] == ["mmproj-F16.gguf"]
    assert server.bytes_sent("mmproj-F32.gguf") == 0
    server.reset_counts()
    plan = hub.plan(f"{VISION}:q4_0", task="chat")
    assert [file.path for file in plan.weights] == ["zoo-chat-q4_0.gguf"]
    assert plan.memory == hub.plan("zoo/tiny-chat-GGUF:q4_0", task="chat").memory
    assert hub.chat(f"{VISION}:q4_0", "x", max_tokens=1).usage.completion_tokens == 1
    assert server.bytes_sent("mmproj-F16.gguf") == 0
    names = {path.name for path in hub.pull(f"{VISION}:q4_0").path.glob("*.gguf")}
    assert names == {"zoo-chat-q4_0.gguf", "mmproj-F16.gguf"}
