"""An ONNX repository, end to end: known without its weights, and pulled a variant at a time."""

import json
import shutil
from pathlib import Path

import pytest

from modelhub.errors import FormatError
from tests.formats.onnx_build import FLOAT, FLOAT16, UINT8, graph, model, node, tensor, unpacking, value

DEPTH = "zoo/tiny-depth-ONNX"
MEGABYTE = 1 << 20


def depth(*tensors: bytes, nodes: tuple[bytes, ...] = ()) -> bytes:
    """A graph that takes an image and gives its depth."""
    takes = [value("pixel_values", ("batch", 3, "height", "width"))]
    gives = [value("predicted_depth", ("batch", "height", "width"))]
    return model(graph([node() for _ in range(200)] + list(nodes), tensors, takes, gives))


def weights(kind: int, elements: int, **elsewhere) -> list[bytes]:
    return [tensor(f"w{n}", (elements,), kind, **elsewhere) for n in range(4)]


@pytest.fixture
def repository(server, tmp_path) -> Path:
    """As transformers.js lays them out: one precision with its weights beside the graph."""
    folder = tmp_path / "depth"
    (folder / "onnx").mkdir(parents=True)
    (folder / "config.json").write_text('{\n    "model_type": "depth_anything"\n}')
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "DPT"}))
    (folder / "onnx/model.onnx").write_bytes(depth(*weights(FLOAT, MEGABYTE // 4)))
    external = {"location": "model_fp16.onnx_data", "offset": "0", "length": str(MEGABYTE // 2)}
    halves = weights(FLOAT16, MEGABYTE // 4, external=external)
    (folder / "onnx/model_fp16.onnx").write_bytes(depth(*halves))
    (folder / "onnx/model_fp16.onnx_data").write_bytes(bytes(MEGABYTE // 2))
    packed = weights(UINT8, MEGABYTE // 8)
    (folder / "onnx/model_q4.onnx").write_bytes(depth(*packed, nodes=(unpacking(),)))
    server.add(DEPTH, folder)
    return folder


def test_a_repository_is_known_without_its_weights(hub, server, repository):
    report = hub.inspect(DEPTH)
    assert report.warnings == ()
    (found,) = report.models
    assert (found.name, found.task, found.parameters) == ("tiny-depth", "depth-estimation", MEGABYTE)
    assert [(each.name, each.precision, each.format) for each in found.variants] == [
        ("fp32", "fp32", "onnx"),
        ("fp16", "fp16", "onnx"),
        ("q4", "int4", "onnx"),
    ]
    assert found.details["graphs"]["model"]["outputs"][0]["shape"] == ["batch", "height", "width"]
    # Of four tensors of a megabyte only what stands between them was sent.
    assert 0 < server.bytes_sent("onnx/model.onnx") <= 96 << 10
    assert 0 < server.bytes_sent("model_fp16.onnx") <= 32 << 10
    assert server.bytes_sent("model_fp16.onnx_data") == 0
    assert server.bytes_sent("model_q4.onnx") == 0
    assert hub.inspect(DEPTH) == report


def test_a_variant_is_pulled_with_its_weights_alone(hub, server, repository):
    hub.inspect(DEPTH)
    snapshot = hub.pull(f"{DEPTH}:fp16")
    assert {file.path for file in snapshot.files} == {
        "config.json",
        "preprocessor_config.json",
        "onnx/model_fp16.onnx",
        "onnx/model_fp16.onnx_data",
    }
    assert server.bytes_sent("model_q4.onnx") == 0
    assert hub.plan(f"{DEPTH}:q4").variant == "q4"
    assert hub.plan(f"{DEPTH}:int4").variant == "q4"


def test_a_local_folder_is_read_alike(hub, server, repository):
    (here,) = hub.inspect(str(repository)).models
    (there,) = hub.inspect(DEPTH).models
    assert (here.task, here.details, here.parameters) == (there.task, there.details, there.parameters)


@pytest.mark.parametrize(
    "damaged", [b"", b"<!doctype html>", b"\x08\x0a\x3a\xff\xff\xff\xff\x7f" + bytes(99)]
)
def test_a_graph_that_lies_is_passed_over_by_name(hub, server, repository, damaged):
    bad = shutil.copytree(repository, repository.with_name("bad"))
    (bad / "onnx/model.onnx").write_bytes(damaged)
    server.push(DEPTH, bad)
    report = hub.inspect(DEPTH)
    (warning,) = report.warnings
    assert warning.code == "header.damaged"
    assert warning.text.startswith("onnx/model.onnx: ")
    assert {variant.name for variant in report.models[0].variants} == {"fp16", "q4"}
    alone = shutil.copytree(bad, bad.with_name("alone"), ignore=shutil.ignore_patterns("*_*.onnx*"))
    server.push(DEPTH, alone)
    with pytest.raises(FormatError, match=r"onnx/model\.onnx"):
        hub.sync(DEPTH)
    assert hub.inspect(DEPTH) == report
