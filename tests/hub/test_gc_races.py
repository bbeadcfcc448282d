"""Collections that are killed, and collections beside pulls, loads and purges of other processes."""

import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from hashlib import sha256

from sqlalchemy import update

from modelhub.errors import InUse, RepositoryNotFound
from modelhub.registry.tables import JobRow

from .conftest import MODEL
from .test_gc import put
from .test_purge import blobs, digests, folders, store, twin

__all__ = ["twin"]  # a fixture

COLLECT = """
import sys
from modelhub import Hub
from modelhub.settings import Settings
settings = Settings.from_env({}, home=sys.argv[1], database=sys.argv[2], offline=True)
with Hub(settings, progress=False) as hub:
    print("ready", flush=True)  # noqa: T201 - shown by a failure
    while True:
        done = hub.store.gc(grace=0, orphans=0)
        print(len(done.items), flush=True)  # noqa: T201 - shown by a failure
        if sys.argv[3] == "once":
            break
"""


def child(hub, database_url, how):
    command = [sys.executable, "-c", COLLECT, str(hub.settings.home), database_url, how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def audit(hub):
    """That every blob has the bytes that its name says."""
    for path in (store(hub) / "blobs").rglob("*"):
        if path.is_file():
            assert sha256(path.read_bytes()).hexdigest() == path.name


def idle(hub):
    """Nobody works: what a killed collection left of its job is not waited for."""
    with hub._registry.begin() as tx:
        tx.session.execute(update(JobRow).where(JobRow.status == "running").values(status="failed"))


def test_a_collection_that_is_killed_anywhere_loses_nothing_and_leaks_nothing(
    make_hub, database_url, rounds, tally
):
    hub = make_hub(database=database_url)
    kept = digests(hub.pull(f"{MODEL}:q8_0"))
    seed = random.randrange(1 << 32)
    print("seed", seed)  # noqa: T201 - shown by a failure
    dice, killed = random.Random(seed), 0
    for number in range(rounds(10, 200)):
        for which in range(20):
            put(hub, b"%d of %d" % (which, number) * 50)
        stray = store(hub) / "snapshots" / "left" / "over" / f"{number:040d}"
        stray.mkdir(parents=True)
        (stray / "config.json").write_bytes(b"{}")
        process = child(hub, database_url, "once")
        assert process.stdout.readline() == "ready\n"
        time.sleep(dice.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        killed += process.wait(60) == -signal.SIGKILL
        process.stdout.close()
        audit(hub)
        assert set(kept.values()) <= blobs(hub)
        idle(hub)
        hub.store.gc(grace=0, orphans=0)
        assert blobs(hub) == set(kept.values())
        assert folders(hub) == [tuple(MODEL.split("/"))]
        with hub._registry.read() as tx:
            known = tx.garbage.known(hub.store._collector.place)
        assert known == dict.fromkeys(kept.values(), "present")
    tally(rounds=number + 1, injected=killed, repaired=killed)
    assert killed
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes == 0
    assert hub.verify(MODEL).ok


def test_collections_beside_pulls_loads_and_purges_cost_delays_and_nothing_else(
    make_hub, database_url, twin, rounds, tally
):
    hub = make_hub(database=database_url)
    hub.sync(MODEL)
    process, counted = child(hub, database_url, "forever"), []
    reader = threading.Thread(target=lambda: counted.extend(process.stdout), daemon=True)
    reader.start()
    try:
        for number in range(rounds(4, 100)):
            for model in (MODEL, twin):
                pulled = hub.pull(f"{model}:q8_0")
                for file in pulled.files:
                    data = (pulled.path / file.path).read_bytes()
                    assert sha256(data).hexdigest() == file.sha256
                tally(rounds=1)
                assert hub.verify(model).ok
            loader = make_hub(database=database_url)
            assert loader.chat(f"{twin}:q8_0", f"{number}", runtime="echo").text == str(number)
            loader.close()
            put(hub, b"stray %d" % number)
            for model in (MODEL, twin):
                with suppress(InUse, RepositoryNotFound):
                    hub.purge(model)
    finally:
        process.kill()
        process.wait(60)
        reader.join(60)
        process.stdout.close()
    assert counted[0] == "ready\n"
    assert len(counted) > 1
    print("collections beside it", len(counted) - 1)  # noqa: T201 - shown by a failure
    audit(hub)
    idle(hub)
    hub.pull(f"{MODEL}:q8_0")
    hub.store.gc(grace=0, orphans=0)
    assert hub.verify(MODEL).ok
    leaked = blobs(hub) - {file.sha256 for file in hub.files(MODEL) if file.sha256}
    assert not leaked - {file.sha256 for file in hub.files(twin) if file.sha256}
