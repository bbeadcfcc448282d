import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelhub.facts import Component, Model, RepoFile, Variant
from modelhub.facts.base import human_bytes
from modelhub.formats import RangeReader, read_gguf
from modelhub.refs import RepoPath
from modelhub.runtimes import Runtimes, find_device
from modelhub.runtimes.llama_cpp import LlamaCppRuntime
from modelhub.runtimes.llama_server import LlamaServerRuntime
from tests.runtimes.random_gguf import FEED_FORWARD, HEADS, KV_HEADS, write_random_gguf

MIB = 1 << 20


def model_of(path: Path, hidden: int, layers: int, context: int) -> Model:
    file = RepoFile(path=RepoPath(path.name), size=path.stat().st_size)
    part = Component(name="model", repo="zoo/x", commit="0" * 40, files=(file,), format="gguf")
    details = {
        "layers": layers,
        "embedding_length": hidden,
        "feed_forward_length": FEED_FORWARD,
        "kv_heads": KV_HEADS,
        "key_length": hidden // HEADS,
        "value_length": hidden // HEADS,
        "vocabulary_size": 259,
    }
    variant = Variant(name="fp32", format="gguf", components=(part,))
    return Model(
        name="x",
        task="text-generation",
        category="llm",
        context_length=context,
        details=details,
        variants=(variant,),
    )


def footprint(model: Model, **options: object) -> int:
    predicted = LlamaServerRuntime().footprint(model, model.variants[0], find_device("cpu"), options)
    assert predicted.per_device == {}
    other = LlamaCppRuntime().footprint(model, model.variants[0], find_device("cpu"), options)
    assert other == predicted
    assert predicted.need is not None
    assert predicted.need.total == predicted.total
    return predicted.total


def test_a_longer_context_takes_more_and_never_more_than_the_model_has(tmp_path: Path) -> None:
    path = write_random_gguf(tmp_path / "x.gguf", context=32768)
    model = model_of(path, 256, 2, 32768)
    assert footprint(model, n_ctx=512) < footprint(model) < footprint(model, n_ctx=32768)
    assert footprint(model, n_ctx=1 << 20) == footprint(model, n_ctx=32768)


@pytest.mark.parametrize("options", [{"n_ctx": "long"}, {"n_ctx": -1}, {"delay": 3}])
def test_options_that_are_not_its_own_are_not_its_business_yet(
    tmp_path: Path, options: dict[str, object]
) -> None:
    model = model_of(write_random_gguf(tmp_path / "x.gguf", context=512), 256, 2, 512)
    assert footprint(model, **options) == footprint(model)


def test_a_header_that_says_too_little_gets_the_rough_estimate(tmp_path: Path) -> None:
    model = model_of(write_random_gguf(tmp_path / "x.gguf", context=512), 256, 2, 512)
    poor = model.model_copy(update={"details": {}})
    assert footprint(poor) == poor.variants[0].bytes * 6 // 5 + (1 << 29)


def test_weights_are_exact_once_their_header_is_read(tmp_path: Path) -> None:
    path = write_random_gguf(tmp_path / "x.gguf", context=512)
    tensors = sum(tensor.nbytes for tensor in read_gguf(RangeReader.from_path(path)).tensors)
    model = model_of(path, 256, 2, 512)
    exact = model.model_copy(update={"details": {**model.details, "tensor_bytes": {"x.gguf": tensors}}})
    need = LlamaServerRuntime().footprint(exact, exact.variants[0], find_device("cpu"), {}).need
    rough = LlamaServerRuntime().footprint(model, model.variants[0], find_device("cpu"), {}).need
    assert need is not None
    assert rough is not None
    assert (need.tier, need.of("weights")) == ("header", tensors)
    assert (rough.tier, rough.of("weights")) == ("size", path.stat().st_size)
    assert need.of("cache") == rough.of("cache") == 2 * 512 * 4 * 64 * 2
    assert str(need).startswith(f"{human_bytes(need.total)} = weights {human_bytes(tensors)} + cache")
    assert "(2 layers × 512 tokens × 512 B)" in str(need)


def test_smaller_batches_need_less(tmp_path: Path) -> None:
    model = model_of(write_random_gguf(tmp_path / "x.gguf", context=512), 256, 2, 512)
    assert footprint(model, n_batch=64) < footprint(model) == footprint(model, n_batch=4096)


MEASURE = """
import os, re, sys
from pathlib import Path
from modelhub.facts import Call, Model
from modelhub.runtimes import Bundle, Runtimes, SharedParts, find_device
from modelhub.tasks import chat_request, embed_request

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

name, folder, model, n_ctx = *sys.argv[1:3], Model.model_validate_json(sys.argv[3]), int(sys.argv[4])
bundle = Bundle(model, model.variants[0], {"model": Path(folder)})
before = resident()
options = {"n_ctx": n_ctx, "n_threads": 2}
loaded = Runtimes().load(name).load(bundle, find_device("cpu"), options, SharedParts())
chat = chat_request("x" * 1000, max_tokens=2)
loaded.infer(chat if loaded.capabilities.streaming else embed_request("x" * (n_ctx - 1)), Call())
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", ["llama_cpp", "llama_server"])
@pytest.mark.parametrize(
    ("n_ctx", "pooling"), [(1024, None), (65536, None), (4096, "mean"), (4096, "lasttoken")]
)
def test_the_prediction_beside_what_it_really_takes(
    tmp_path: Path, name: str, n_ctx: int, pooling: str | None
) -> None:
    if Runtimes().load(name).missing():
        pytest.skip(f"{name} is not installed")
    hidden, layers = 512, 8
    path = write_random_gguf(tmp_path / "x.gguf", context=65536, hidden=hidden, layers=layers)
    model = model_of(path, hidden, layers, 65536)
    if pooling is not None:
        details = {**model.details, "pooling": pooling}
        model = model.model_copy(update={"task": "feature-extraction", "details": details})
    predicted = footprint(model, n_ctx=n_ctx)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, name, str(tmp_path), model.model_dump_json(), str(n_ctx)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    measured = int(done.stdout)
    assert measured <= predicted, (measured // MIB, predicted // MIB)
    assert predicted <= 1.25 * measured + 512 * MIB, (measured // MIB, predicted // MIB)
