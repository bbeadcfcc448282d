"""The cache's bytes beside what llama.cpp itself says of them: in logs that people have published, and
in the log of the engines that are installed here.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from modelhub.formats import RangeReader, read_gguf
from modelhub.registry.introspect.gguf_header import model_details
from modelhub.runtimes import Runtimes
from modelhub.runtimes.llama.cache import Cache, cache_of
from tests.runtimes.cache_gguf import TINY

MIB = 1 << 20


class Published(NamedTuple):
    """What somebody's llama.cpp logged, with the address of it; all were read on 28 November 2026.

    `logged` is in MiB, as printed: of layers that see everything, of those with a window, of states.
    """

    architecture: str
    details: dict[str, Any]
    n_ctx: int
    n_batch: int
    logged: dict[str, str]
    source: str
    slots: int = 1
    kind: str = "f16"


LLAMA_8B = {"layers": 32, "kv_heads": 8, "key_length": 128, "value_length": 128}
QWEN2_1B = {"layers": 28, "kv_heads": 2, "key_length": 128, "value_length": 128}
GLM4_32B = {"layers": 61, "kv_heads": 2, "key_length": 128, "value_length": 128}
GEMMA3_27B = {
    "layers": 62,
    "kv_heads": 16,
    "key_length": 128,
    "value_length": 128,
    "sliding_window": 1024,
}
GEMMA3_12B = GEMMA3_27B | {"layers": 48, "kv_heads": 8, "key_length": 256, "value_length": 256}
GEMMA3_4B = GEMMA3_12B | {"layers": 34, "kv_heads": 4}
GEMMA4_E4B = {
    "layers": 42,
    "kv_heads": 2,
    "key_length": 512,
    "value_length": 512,
    "key_length_swa": 256,
    "value_length_swa": 256,
    "sliding_window": 512,
    "sliding_window_pattern": [1, 1, 1, 1, 1, 0] * 7,
    "shared_kv_layers": 18,
}
DEEPSEEK_V3 = {
    "layers": 61,
    "kv_heads": 1,
    "key_length": 576,
    "value_length": 512,
    "key_length_mla": 192,
    "value_length_mla": 128,
    "kv_lora_rank": 512,
    "rope_length": 64,
}
FALCON_H1_1B = {
    "layers": 24,
    "kv_heads": 2,
    "key_length": 128,
    "value_length": 128,
    "ssm_conv": 4,
    "ssm_inner": 3072,
    "ssm_state": 256,
    "ssm_groups": 1,
}
QWEN35_27B = {
    "layers": 64,
    "kv_heads": 4,
    "key_length": 256,
    "value_length": 256,
    "ssm_conv": 4,
    "ssm_inner": 6144,
    "ssm_state": 128,
    "ssm_groups": 16,
}
LFM2_1B = {
    "layers": 16,
    "kv_heads": [0, 0, 8, 0, 0, 8, 0, 0, 8, 0, 8, 0, 8, 0, 8, 0],
    "key_length": 64,
    "value_length": 64,
    "embedding_length": 2048,
    "shortconv_cache": 3,
}
GENIE = "https://github.com/GeniePod/genie-claw/issues/410"
REDDIT = "https://redlib.baczek.me/r/localllama?after=t3_1krupm7"
"""Measured by who argued for the sliding window in ggml-org/llama.cpp#13194, when 512 tokens were a batch."""

PUBLISHED = {
    "llama 3.1 8b, 81920 tokens": Published(
        "llama",
        LLAMA_8B,
        81920,
        512,
        {"full": "10240.00"},
        "https://github.com/ollama/ollama/issues/9352",
    ),
    "qwen 2.5 1.5b, 32768 tokens": Published("qwen2", QWEN2_1B, 32768, 512, {"full": "896.00"}, GENIE),
    "qwen 2.5 1.5b, 4096 tokens": Published("qwen2", QWEN2_1B, 4096, 512, {"full": "112.00"}, GENIE),
    "glm 4 32b, q8_0": Published(
        "glm4",
        GLM4_32B,
        5120,
        512,
        {"full": "162.03"},
        "https://github.com/ikawrakow/ik_llama.cpp/pull/344",
        kind="q8_0",
    ),
    "gemma 3 27b": Published(
        "gemma3", GEMMA3_27B, 65536, 512, {"full": "5120.00", "window": "624.00"}, REDDIT
    ),
    "gemma 3 27b, batches of 2048": Published(
        "gemma3", GEMMA3_27B, 131072, 2048, {"full": "10240.00", "window": "1248.00"}, REDDIT
    ),
    "gemma 3 12b": Published(
        "gemma3", GEMMA3_12B, 65536, 512, {"full": "4096.00", "window": "480.00"}, REDDIT
    ),
    "gemma 3 4b": Published("gemma3", GEMMA3_4B, 4096, 512, {"window": "174.00"}, REDDIT),
    "gemma 4 e4b, 131072 tokens": Published(
        "gemma4",
        GEMMA4_E4B,
        131072,
        512,
        {"full": "2048.00"},
        "https://github.com/ggml-org/llama.cpp/issues/21730",
    ),
    "gemma 4 e4b, batches of 1024": Published(
        "gemma4",
        GEMMA4_E4B,
        4096,
        1024,
        {"full": "64.00", "window": "60.00"},
        "https://github.com/qualcomm/GenieX/pull/1346",
    ),
    "gemma 4 e4b, two conversations": Published(
        "gemma4",
        GEMMA4_E4B,
        131072,
        2048,
        {"window": "120.00"},
        "https://github.com/ggml-org/llama.cpp/issues/24376",
        slots=2,
        kind="bf16",
    ),
    "deepseek v3, compressed, q8_0": Published(
        "deepseek2",
        DEEPSEEK_V3,
        32768,
        512,
        {"full": "1166.62"},
        "https://github.com/ikawrakow/ik_llama.cpp/pull/259",
        kind="q8_0",
    ),
    "falcon h1 1.5b": Published(
        "falcon-h1", FALCON_H1_1B, 32768, 512, {"full": "768.00", "state": "72.98"}, GENIE
    ),
    "qwen 3.5 27b, two conversations": Published(
        "qwen35",
        QWEN35_27B,
        8192,
        512,
        {"state": "299.25"},
        "https://github.com/ggml-org/llama.cpp/pull/23792",
        slots=2,
    ),
    "lfm 2.5 1.5b": Published(
        "lfm2", LFM2_1B, 4096, 512, {"full": "48.00"}, "https://github.com/ggml-org/llama.cpp/pull/18641"
    ),
}


def in_mib(cache: Cache) -> dict[str, str]:
    """As llama.cpp prints them."""
    return {each.kind: f"{each.bytes / MIB:.2f}" for each in cache.layers}


@pytest.mark.parametrize("name", PUBLISHED)
def test_equals_what_is_published(name: str) -> None:
    known = PUBLISHED[name]
    cache = cache_of(
        known.architecture,
        known.details,
        known.n_ctx,
        known.n_batch,
        slots=known.slots,
        kind=known.kind,
    )
    assert cache is not None
    assert known.logged.items() <= in_mib(cache).items(), (cache, known.source)


LOG = """
import sys
from pathlib import Path
from modelhub.facts import Model
from modelhub.runtimes.llama.loading import Loading

name, n_ctx, n_batch, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if name == "llama_cpp":
    from modelhub.runtimes.llama_cpp.engine import Engine
    from modelhub.runtimes.llama_cpp.library import library

    lib = library()
    print_it = lib.llama_log_callback(lambda level, text, _: print(text.decode(), end=""))
    lib.llama_log_set(print_it, None)
    model = Model(name="x", task="text-generation", category="llm", variants=())
    Engine.start(Loading(model, (Path(path),), n_ctx, n_batch, 1)).close()
else:
    from modelhub.runtimes.llama_server.folder import SocketFolder
    from modelhub.runtimes.llama_server.server import EngineSettings, start_server

    folder = SocketFolder()
    held = [start_server(EngineSettings(path, n_ctx, n_batch, 1), folder.path, 4)]
    held.clear()
    folder.remove()
"""
LINE = re.compile(r"(llama_kv_cache|llama_memory_recurrent): size = +([0-9.]+) MiB")


def engine_log(name: str, n_ctx: int, n_batch: int, path: Path) -> str:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", LOG, name, str(n_ctx), str(n_batch), str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def predicted(path: Path, n_ctx: int, n_batch: int) -> Cache:
    header = read_gguf(RangeReader.from_path(path))
    cache = cache_of(header.architecture, model_details(header), n_ctx, n_batch)
    assert cache is not None
    return cache


@pytest.mark.parametrize("name", TINY)
def test_equals_what_llama_cpp_allocates(tmp_path: Path, name: str) -> None:
    if Runtimes().load("llama_cpp").missing():
        pytest.skip("llama_cpp is not installed")
    path = TINY[name].write(tmp_path / "tiny.gguf")
    said = LINE.findall(engine_log("llama_cpp", 8000, 256, path))
    assert [size for _, size in said] == list(in_mib(predicted(path, 8000, 256)).values())
    assert "0.00" not in {size for _, size in said}


@pytest.mark.parametrize("name", ["llama", "gemma3", "deepseek2", "falcon-h1"])
def test_equals_what_the_server_engine_allocates(tmp_path: Path, name: str) -> None:
    if Runtimes().load("llama_server").missing():
        pytest.skip("xllamacpp is not installed")
    path = TINY[name].write(tmp_path / "tiny.gguf")
    said = LINE.findall(engine_log("llama_server", 4096, 512, path))
    assert [size for _, size in said] == list(in_mib(predicted(path, 4096, 512)).values())


def test_quantized_rows_begin_a_new_block() -> None:
    details = LLAMA_8B | {"layers": 1, "kv_heads": 1, "key_length": 40, "value_length": 40}
    cache = cache_of("llama", details, 256, 256, kind="q4_0")
    assert cache is not None
    assert cache.bytes == 256 * 2 * 2 * 18


@pytest.mark.parametrize(
    ("architecture", "details", "layers"),
    [
        ("gemma2", LLAMA_8B | {"layers": 5}, "2 full, 3 window"),
        ("llama4", LLAMA_8B | {"layers": 5}, "1 full, 4 window"),
        ("llama4", LLAMA_8B | {"layers": 5, "sliding_window": 0}, "5 full"),
        ("smallthinker", LLAMA_8B | {"layers": 5, "sliding_window": 1}, "2 full, 3 window"),
        ("exaone4", LLAMA_8B | {"layers": 64}, "16 full, 48 window"),
        ("exaone4", LLAMA_8B | {"layers": 30}, "30 full"),
        ("gemma3n", LLAMA_8B | {"layers": 30, "sliding_window": 512}, "4 full, 16 window"),
        ("qwen2", LLAMA_8B | {"sliding_window": 512}, "32 full"),
        ("mimo2", LLAMA_8B | {"layers": 2, "sliding_window": 9, "sliding_window_pattern": [1, 0]}, "1 full, 1 window"),
        ("glm4moe", LLAMA_8B | {"layers": 47, "nextn_layers": 1}, "46 full"),
        ("qwen35", QWEN35_27B | {"layers": 65, "nextn_layers": 1}, "16 full, 48 state"),
        ("nemotron_h", FALCON_H1_1B | {"layers": 3, "kv_heads": [0, 2, 0], "feed_forward_length": [0, 0, 9]}, "1 full, 1 state"),
        ("bert", {}, ""),
    ],
)  # fmt: skip
def test_which_layers_are_which(architecture: str, details: dict[str, Any], layers: str) -> None:
    cache = cache_of(architecture, details, 4096, 512)
    assert cache is not None
    assert ", ".join(f"{each.layers} {each.kind}" for each in cache.layers) == layers


@pytest.mark.parametrize(
    ("architecture", "details"),
    [
        ("llama", {}),
        ("llama", LLAMA_8B | {"layers": None}),
        ("llama", LLAMA_8B | {"kv_heads": "8"}),
        ("llama", LLAMA_8B | {"kv_heads": [8, 8]}),
        ("llama", LLAMA_8B | {"key_length": None}),
        ("mamba", {"layers": 3}),
        ("jamba", LLAMA_8B | {"kv_heads": None}),
        ("deepseek4", LLAMA_8B),
        (None, {}),
    ],
)
def test_what_is_not_known_is_not_guessed(architecture: str | None, details: dict[str, Any]) -> None:
    assert cache_of(architecture, details, 4096, 512) is None


def test_says_its_arithmetic() -> None:
    assert str(cache_of("gemma3", GEMMA3_4B, 8192, 512)) == (
        "5 layers × 8192 tokens × 4096 B + 29 layers × 1536 tokens in a window × 4096 B"
    )
    assert str(cache_of("bert", {}, 512, 512)) == "no cache"
