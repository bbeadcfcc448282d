"""Claims: fetching, beside `hf` over plain HTTP and curl, from one server of this machine.

- one large file (512 MB with --quick, else 2 GB), hashed, flushed to the disk, proven and linked: at least
  2× `snapshot_download`, which does none of these, and 0.8× curl, which does not either;
- 500 small files: at least 1×;
- the second `hub.pull` of a complete repository of 20 files: at most 50 ms.

Each download is a fresh process with an empty folder. Timed are listing and download, not the imports; of
curl, the whole process. CPU seconds are those of the whole process, imports and all; the server's are not
in them. modelhub has the repository registered and synced before, and lists it once more within its time.
"""

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import Claim, absolute, arguments, note, ratio, report

HERE = Path(__file__).resolve().parent
SMALL_FILES = 500
SMALL_BYTES = 20_000
PULL_FILES = 20

OURS = """
import json, resource, sys, time
from pathlib import Path
from modelhub import Hub
from modelhub.facts import Call
from modelhub.refs import ModelRef
ref, home = ModelRef.parse(sys.argv[1]), sys.argv[2]
with Hub(home=home) as hub:
    hub.sync(ref)
    target = hub._resolver.resolve(ref, Call(), None)
    source, puller = hub._resolver.source("huggingface"), hub._serving.loading.puller
    start = time.perf_counter()
    paths = [file.path for file in source.describe(ref).files]
    folder = puller.pull(target, {"model": "all", "variant": "all"}, paths, Call())
    wall = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"wall": wall, "cpu": used.ru_utime + used.ru_stime,
                  "files": sum(1 for path in Path(folder.path).rglob("*") if path.is_file())}))
"""

PULL = """
import json, sys, time
from modelhub import Hub
with Hub(home=sys.argv[2]) as hub:
    hub.pull(sys.argv[1])
    before, start = time.process_time(), time.perf_counter()
    folder = hub.pull(sys.argv[1])
    wall, cpu = time.perf_counter() - start, time.process_time() - before
print(json.dumps({"wall": wall, "cpu": cpu, "files": len(folder.files)}))
"""

THEIRS = """
import json, resource, sys, time
from pathlib import Path
import huggingface_hub
from huggingface_hub import snapshot_download
start = time.perf_counter()
folder = snapshot_download(sys.argv[1], cache_dir=sys.argv[2])
wall = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"wall": wall, "cpu": used.ru_utime + used.ru_stime,
                  "files": sum(1 for path in Path(folder).rglob("*") if path.is_file())}))
"""

CURL = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(["curl", "-sSf", "-o", sys.argv[2] + "/file", sys.argv[1]], check=True)
wall = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"wall": wall, "cpu": used.ru_utime + used.ru_stime, "files": 1}))
"""

Measured = dict[str, float]


def main() -> int:
    options = arguments(__doc__)
    rounds = options.rounds or (3 if options.quick else 5)
    size = (512 << 20) if options.quick else (2 << 30)
    with tempfile.TemporaryDirectory(prefix="fetch-") as made:
        root = Path(made)
        for name in ("large", "small", "twenty"):
            (root / "repos" / name).mkdir(parents=True)
        write(root / "repos" / "large" / "large.bin", size)
        for number in range(SMALL_FILES):
            write(root / "repos" / "small" / f"{number:03}.bin", SMALL_BYTES)
        model(root / "repos" / "twenty")
        with served(root / "repos") as endpoint:
            return report(measure(endpoint, root, rounds, size), as_json=options.json)


def measure(endpoint: str, root: Path, rounds: int, size: int) -> Iterator[Claim]:
    large: dict[str, Callable[[], Measured]] = {
        "modelhub": lambda: child(OURS, endpoint, root, "bench/large", files=1),
        "hf": lambda: child(THEIRS, endpoint, root, "bench/large", files=1),
        "curl": lambda: child(
            CURL, endpoint, root, f"{endpoint}/bench/large/resolve/main/large.bin", files=1
        ),
    }
    seen = in_turn(large, rounds)
    speed = {who: [size / 1e6 / one["wall"] for one in each] for who, each in seen.items()}
    yield ratio(f"one file of {size >> 20} MiB beside hf", speed["modelhub"], speed["hf"], 2.0, "MB/s")
    yield ratio("the same beside curl", speed["modelhub"], speed["curl"], 0.8, "MB/s")
    small: dict[str, Callable[[], Measured]] = {
        "modelhub": lambda: child(OURS, endpoint, root, "bench/small", files=SMALL_FILES),
        "hf": lambda: child(THEIRS, endpoint, root, "bench/small", files=SMALL_FILES),
    }
    seen = in_turn(small, rounds)
    rate = {who: [SMALL_FILES / one["wall"] for one in each] for who, each in seen.items()}
    yield ratio(f"{SMALL_FILES} small files beside hf", rate["modelhub"], rate["hf"], 1.0, "files/s")
    twenty = [child(PULL, endpoint, root, "bench/twenty", files=PULL_FILES) for _ in range(rounds)]
    cpu = 1000 * statistics.median(one["cpu"] for one in twenty)
    note(f"second pull: {cpu:.1f} ms of CPU time")
    second = [1000 * one["wall"] for one in twenty]
    yield absolute(f"second pull of {PULL_FILES} files", second, 50, "ms")


def in_turn(subjects: dict[str, Callable[[], Measured]], rounds: int) -> dict[str, list[Measured]]:
    """Each subject in turn, in another order each round; one round before is thrown away."""
    seen: dict[str, list[Measured]] = {who: [] for who in subjects}
    order = list(subjects)
    for index in range(-1, rounds):
        for who in order:
            one = subjects[who]()
            if index >= 0:
                seen[who].append(one)
        order.append(order.pop(0))
    for who, each in seen.items():
        cpu = statistics.median(one["cpu"] for one in each)
        wall = statistics.median(one["wall"] for one in each)
        note(f"{who}: {wall:.2f} s, {cpu:.2f} CPU seconds")
    return seen


def child(script: str, endpoint: str, root: Path, what: str, *, files: int) -> Measured:
    """One download in a process of its own, into a new folder."""
    home = Path(tempfile.mkdtemp(dir=root))
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, what, str(home)],
            check=True,
            stdout=subprocess.PIPE,
            env=os.environ  # noqa: TID251 - handed on
            | {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
            | {"HF_HOME": str(home / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"},
        )
        measured: Measured = json.loads(done.stdout)
        if measured["files"] != files:
            raise RuntimeError(f"{measured['files']} files came, not {files}")
        return measured
    finally:
        shutil.rmtree(home)


@contextmanager
def served(repos: Path) -> Iterator[str]:
    """The server's address."""
    command = [sys.executable, str(HERE / "fetch_server.py"), str(repos)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def write(path: Path, size: int) -> None:
    """A file of random bytes; a megabyte of them again and again, with its place in front of each."""
    block = random.Random(path.name).randbytes(1 << 20)
    with path.open("wb") as file:
        for at in range(0, size, len(block)):
            file.write((at.to_bytes(8) + block)[: min(len(block), size - at)])


def model(folder: Path) -> None:
    """A model in shards of a megabyte, with its index and configuration: `PULL_FILES` files in all."""
    names = [
        f"model-{number:05}-of-{PULL_FILES - 2:05}.safetensors" for number in range(1, PULL_FILES - 1)
    ]
    placed = {f"weight.{number:02}": name for number, name in enumerate(names)}
    for tensor, name in placed.items():
        write(folder / name, 1 << 20)
        place = {"dtype": "F32", "shape": [1 << 18], "data_offsets": [0, 1 << 20]}
        head = json.dumps({tensor: place}).encode()
        path = folder / name
        path.write_bytes(len(head).to_bytes(8, "little") + head + path.read_bytes())
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 100}
    shape = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    (folder / "config.json").write_text(json.dumps(config | shape))


if __name__ == "__main__":
    sys.exit(main())
