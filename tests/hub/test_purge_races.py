"""A purge and somebody who wants the same bytes in the same moment, stopped at the seams where it matters."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelhub.jobs import Fetcher
from modelhub.store.fsops import FsOps

from .conftest import MODEL
from .test_purge import Q8, TWIN, blobs, digests

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
