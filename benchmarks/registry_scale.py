"""Claims: a registry of 10,000 repositories and 1,000,000 files answers at once, on both databases.

- one caller: `resolve` (from a name to the commit that it means) within 1 ms, a page (of repositories, of models by task
  or by words) within 10 ms, 99 of 100 times;
- 16 readers that ask at fixed moments, whether the last answer has come or not, beside a writer that
  saves repositories without a pause: 10 ms and 30 ms, counted from the moment when the question was due;
- no statement of these goes through a table;
- a sync of a repository of 1,000 files takes less than a second.

The registries are built at the first run, in about three minutes, and kept in `.cache`.
"""

import gc
import itertools
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

import registry_catalog as catalog  # noqa: E402 - what the benchmark needs lies a folder apart
from harness import Claim, absolute, arguments, note, report  # noqa: E402
from tests.registry.catalog import FAMILIES, FIRST, VENDORS  # noqa: E402
from tests.registry.explain import explained, whole  # noqa: E402
from tests.zoo.hub_server import HubServer  # noqa: E402

from modelhub import Hub  # noqa: E402
from modelhub.facts import RepoFile, RepoId, RepoListing  # noqa: E402
from modelhub.refs import RepoPath  # noqa: E402
from modelhub.registry import ModelQuery, Registry  # noqa: E402
from modelhub.settings import Settings  # noqa: E402

READERS = 16
RATE = 4
"""Questions a second of each reader: 64 of all, which two cores answer with time to spare."""
PAGE = 100

Ask = Callable[[Registry, random.Random], object]


def main() -> int:
    options = arguments(__doc__)
    rounds = options.rounds or (3 if options.quick else 10)
    with tempfile.TemporaryDirectory(prefix="modelhub-bench-") as folder, ExitStack() as stack:
        address = catalog.copied(catalog.sqlite(), Path(folder))
        urls = {"SQLite": address, "PostgreSQL": stack.enter_context(catalog.postgres())}
        # As a server does when it has started: else a collection now and then walks through all that was
        # imported, which takes longer than any answer.
        gc.collect()
        gc.freeze()
        claims = [claim for name, url in urls.items() for claim in measure(name, url, rounds)]
        return report(claims, as_json=options.json)


def measure(database: str, url: str, rounds: int) -> Iterator[Claim]:
    with catalog.opened(url) as registry:
        for name, (ask, limit, _) in QUESTIONS.items():
            note(f"{database}: {name}, one caller")
            each = 300 if name == "resolve" else 60
            values = [percentile(alone(registry, ask, each)) for _ in range(rounds)]
            yield absolute(f"{database}: {name}, one caller, p99", values, limit, "ms")
        scans = [float(len(whole(steps(registry))))]
        yield absolute(f"{database}: statements that go through a table", scans, 0, "statements")
        for name, (ask, _, limit) in QUESTIONS.items():
            note(f"{database}: {name}, {READERS} readers beside a writer")
            values = [percentile(beside_a_writer(registry, ask)) for _ in range(rounds)]
            yield absolute(
                f"{database}: {name}, {READERS} readers and a writer, p99", values, limit, "ms"
            )
    note(f"{database}: a sync of 1,000 files")
    yield absolute(f"{database}: a first sync of 1,000 files", list(syncs(url, rounds)), 1.0, "s")


def resolve(registry: Registry, dice: random.Random) -> None:
    number = dice.randrange(FIRST, FIRST + catalog.REPOSITORIES)
    vendor, name = VENDORS[number % len(VENDORS)], f"{FAMILIES[number % len(FAMILIES)]}-{number}B-model"
    with registry.read() as tx:
        found = tx.repos.find(name, vendor)
    assert number == FIRST + catalog.REPOSITORIES - 1 or found[0].git_head == f"{number:040x}"


def page_of_repositories(registry: Registry, dice: random.Random) -> None:
    with registry.read() as tx:
        last = tx.repos.get(dice.randrange(FIRST, FIRST + catalog.REPOSITORIES))
        tx.repos.list(PAGE, last)


def page_of_models(registry: Registry, dice: random.Random) -> None:
    with registry.read() as tx:
        first = tx.search.page(dice.choice(QUERIES), PAGE)
        assert len(first) > 0


QUERIES = (
    ModelQuery(),
    ModelQuery(task="object-detection"),
    ModelQuery(format="onnx", precision="q8_0"),
    ModelQuery(license="cc-by-nc-4.0"),
    ModelQuery(text="qwen3 model", task="text-generation"),
    ModelQuery(vendor="vendor-7", max_bytes=9_000_000_000),
)
QUESTIONS: dict[str, tuple[Ask, float, float]] = {
    "resolve": (resolve, 1.0, 10.0),
    "a page of repositories": (page_of_repositories, 10.0, 30.0),
    "a page of models": (page_of_models, 10.0, 30.0),
}
"""What is asked, and within how many ms: by one caller, and beside a writer."""


def percentile(values: list[float], share: float = 0.99) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def alone(registry: Registry, ask: Ask, count: int) -> list[float]:
    dice = random.Random(1)
    spent = []
    for _ in range(count):
        began = time.perf_counter()
        ask(registry, dice)
        spent.append((time.perf_counter() - began) * 1000)
    return spent


def beside_a_writer(registry: Registry, ask: Ask, seconds: float = 3.0) -> list[float]:
    """Milliseconds from the moment when each question was due; nobody waits for the answer to ask again."""
    done = threading.Event()
    with ThreadPoolExecutor(READERS + 1) as pool:
        writing = pool.submit(write, registry, done)
        start = time.perf_counter() + 0.1
        reading = [
            pool.submit(read, registry, ask, start + n / READERS / RATE, seconds, n)
            for n in range(READERS)
        ]
        spent = [ms for each in reading for ms in each.result()]
        done.set()
        assert writing.result() > 0
    return spent


def read(registry: Registry, ask: Ask, start: float, seconds: float, seed: int) -> list[float]:
    dice, spent = random.Random(seed), []
    for number in range(int(seconds * RATE)):
        due = start + number / RATE
        time.sleep(max(0.0, due - time.perf_counter()))
        ask(registry, dice)
        spent.append((time.perf_counter() - due) * 1000)
    return spent


def write(registry: Registry, done: threading.Event) -> int:
    """Saves a repository of ten files again and again; how often."""
    repo = RepoId(source="bench", vendor="bench", name="written")
    for number in itertools.count(1):
        commit = f"{time.time_ns():040x}"
        files = tuple(RepoFile(path=RepoPath(f"file-{n}"), size=n) for n in range(10))
        listing = RepoListing(repo=repo, commit=commit, revision="main", files=files, source_uri="bench")
        with registry.begin() as tx:
            tx.revisions.save(tx.repos.register(repo, source_uri="bench").id, listing)
        if done.wait(0.005):
            return number
    raise AssertionError


def steps(registry: Registry) -> list[list[str]]:
    dice = random.Random(2)
    with explained(registry, forced=False) as found:
        for ask, _, _ in QUESTIONS.values():
            for _ in range(10):
                ask(registry, dice)
    return found


def syncs(url: str, rounds: int) -> Iterator[float]:
    """Seconds of the first sync of a repository with a thousand files, each time another one."""
    with tempfile.TemporaryDirectory(prefix="modelhub-bench-") as folder, HubServer() as server:
        for number in range(rounds):
            repo = f"bench/thousand-{time.time_ns()}"
            server.add(repo, thousand_files(Path(folder) / str(number), number))
            settings = Settings.from_env(
                {}, home=Path(folder) / "home", database=url, hf_endpoint=server.endpoint, hf_token=""
            )
            with Hub(settings, progress=False) as hub:
                hub.repos(limit=1)
                began = time.perf_counter()
                hub.sync(repo)
                yield time.perf_counter() - began
                hub.purge(repo)


def thousand_files(folder: Path, seed: int) -> Path:
    """As trainers push them: shards, an index, a tokenizer, a configuration, and pictures of the training."""
    from tests.zoo.repos import build_chat

    build_chat(folder)
    (folder / "logs").mkdir()
    for number in range(1000 - sum(path.is_file() for path in folder.rglob("*"))):
        (folder / "logs" / f"step-{number:05}.png").write_bytes(f"{seed}:{number}".encode())
    return folder


if __name__ == "__main__":
    sys.exit(main())
