"""A purge and somebody who wants the same bytes in the same moment, stopped at the seams where it matters."""

import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

from modelhub.errors import InUse, RepositoryNotFound
from modelhub.hub.loading import Loading
from modelhub.jobs import Fetcher, Hold, Holds
from modelhub.registry import InstanceBook
from modelhub.store.fsops import FsOps
from modelhub.store.local import LocalStore

from .conftest import MODEL
from .test_purge import Q8, TWIN, blobs, digests, folders

WAIT = 60


@pytest.fixture
def twin(server, zoo_gguf, tmp_path):
    """Another repository with one of the same files."""
    folder = tmp_path / "twin"
    folder.mkdir()
    shutil.copy(zoo_gguf / Q8, folder / "same-q8_0.gguf")
    server.add(TWIN, folder)
    return TWIN


class Seam:
    """A place where one thread stops until another has passed somewhere."""

    def __init__(self):
        self.reached, self.go_on = threading.Event(), threading.Event()

    def stop(self):
        self.reached.set()
        assert self.go_on.wait(WAIT), "nobody let it go on"


def in_turn(*works):
    """All at once; what each gave."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result(WAIT) for future in [pool.submit(work) for work in works]]


def test_a_file_that_is_deleted_after_another_was_told_of_it_is_fetched_again(
    make_hub, database_url, twin, monkeypatch, rounds
):
    """The purge is past its last question; then the other one is told that the file is here."""
    hub, other = make_hub(database=database_url), make_hub(database=database_url)
    seam, told = Seam(), threading.Event()
    unlink, missing = FsOps.unlink, Fetcher.missing
    shared = hub.pull(f"{MODEL}:q8_0").files
    (digest,) = {file.sha256 for file in shared if file.path == Q8}

    def stopped(self, name, **given):
        if name == digest and not seam.reached.is_set():
            seam.stop()
        return unlink(self, name, **given)

    def present(self, listing, paths):
        found = missing(self, listing, paths)
        if listing.repo.id == TWIN and not told.is_set():
            assert not found
            told.set()
            seam.go_on.set()
            assert purged.wait(WAIT)
        return found

    monkeypatch.setattr(FsOps, "unlink", stopped)
    monkeypatch.setattr(Fetcher, "missing", present)

    def purge():
        done = hub.purge(MODEL)
        purged.set()
        return done

    def pull():
        assert seam.reached.wait(WAIT)
        return other.pull(f"{twin}:q8_0")

    for _ in range(rounds(20, 200)):
        seam, told, purged = Seam(), threading.Event(), threading.Event()
        hub.pull(f"{MODEL}:q8_0")
        done, pulled = in_turn(purge, pull)
        assert digest in {file.sha256 for file in done.removed}
        assert pulled.fetched_bytes > 0
        assert digests(pulled)["same-q8_0.gguf"] == digest
        assert other.verify(twin).ok
        assert not other.verify(twin).absent
        other.purge(twin)
        assert blobs(hub) == set()


def stop_at(patch, place, name, *, after=False):
    """Let `place.name` stop before its work, or after it, when it is called first; the seam."""
    seam, real, calls = Seam(), getattr(place, name), []

    def stopped(*given, **named):
        calls.append(name)
        first = len(calls) == 1
        if first and not after:
            seam.stop()
        done = real(*given, **named)
        if first and after:
            seam.stop()
        return done

    patch.setattr(place, name, stopped)
    return seam


SEAMS = {
    "before the files are proven": (LocalStore, "link", False),
    "before the folder is written down": (LocalStore, "link", True),
    "before the model is written down": (InstanceBook, "add", False),
}


def refused(hubs):
    """What each of them says as it does not purge."""
    said = []
    for hub in hubs:
        with pytest.raises(InUse) as caught:
            hub.purge(MODEL)
        said.append(caught.value.message)
    return said


@pytest.mark.parametrize("seam", SEAMS)
def test_a_model_that_is_being_loaded_is_purged_by_nobody(make_hub, database_url, rounds, seam):
    """Not by the Hub that loads it, which has dropped its plan, and not by another."""
    place, name, after = SEAMS[seam]
    other = make_hub(database=database_url)
    for _ in range(rounds(20, 200)):
        hub = make_hub(database=database_url)
        hub.pull(f"{MODEL}:q8_0")
        (record,) = hub.repos()
        with pytest.MonkeyPatch.context() as patch:
            stopped = stop_at(patch, place, name, after=after)
            with ThreadPoolExecutor(1) as pool:
                answer = pool.submit(hub.chat, f"{MODEL}:q8_0", "x", runtime="echo")
                assert stopped.reached.wait(WAIT)
                hub._serving.forget(record)
                said = refused((hub, other))
                stopped.go_on.set()
                assert answer.result(WAIT).text == "x"
        assert all(f"is loading {MODEL}" in each for each in said)
        hub.close()
        assert other.purge(MODEL).folders
        assert (blobs(other), folders(other)) == (set(), [])


def test_a_call_whose_model_was_purged_after_its_plan_says_so(make_hub, database_url, monkeypatch):
    hub, other = make_hub(database=database_url), make_hub(database=database_url)
    hub.pull(f"{MODEL}:q8_0")
    stopped = stop_at(monkeypatch, Loading, "load")

    def purge():
        assert stopped.reached.wait(WAIT)
        done = other.purge(MODEL)
        stopped.go_on.set()
        return done

    def chat():
        with pytest.raises(RepositoryNotFound, match="purged meanwhile"):
            hub.chat(f"{MODEL}:q8_0", "x", runtime="echo")

    assert in_turn(chat, purge)[1].removed
    assert (blobs(hub), folders(hub)) == (set(), [])


KILLED = """
import os, signal, sys
from modelhub import Hub
from modelhub.settings import Settings
from modelhub.jobs import Fetcher, Holds
setattr(Fetcher, "_remember", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
settings = Settings.from_env({}, home=sys.argv[1], hf_endpoint=sys.argv[2], hf_token="")
Hub(settings, progress=False).pull(sys.argv[3])
"""


def test_a_pull_that_was_killed_before_it_wrote_its_folder_down_leaves_none_for_ever(
    hub, server, rounds, tally
):
    for _ in range(rounds(2, 20)):
        command = [
            sys.executable,
            "-c",
            KILLED,
            str(hub.settings.home),
            server.endpoint,
            f"{MODEL}:q8_0",
        ]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        assert folders(hub)
        done = hub.purge(MODEL)  # who is dead holds nothing
        assert len(done.folders) == 1
        assert (blobs(hub), folders(hub)) == (set(), [])
        tally(rounds=1, injected=1, repaired=1)


def test_who_stood_still_until_its_lease_was_over_leaves_no_folder(
    make_hub, database_url, twin, monkeypatch, rounds
):
    hub, other = make_hub(database=database_url), make_hub(database=database_url)
    over = nullcontext(Hold(hub._registry, 0))  # a lease that no row has any more
    monkeypatch.setattr(Holds, "hold", lambda *_: over)
    hub.pull(f"{MODEL}:q8_0")
    for _ in range(rounds(3, 20)):
        with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
            stopped = stop_at(patch, LocalStore, "link")
            pulled = pool.submit(hub.pull, f"{twin}:q8_0")
            assert stopped.reached.wait(WAIT)
            other.purge(twin)
            stopped.go_on.set()
            with pytest.raises(RepositoryNotFound, match="purged meanwhile"):
                pulled.result(WAIT)
        assert folders(hub) == [("zoo", "tiny-chat-GGUF")]
    assert other.verify(MODEL).ok
