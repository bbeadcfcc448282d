"""How much the store holds, against what the disk says."""

import os
import subprocess

import pytest

from modelhub.errors import RepositoryNotFound
from modelhub.facts import Usage

from .conftest import MODEL
from .test_gc import put
from .test_purge import TWIN, blobs, store, twin

__all__ = ["twin"]  # a fixture


@pytest.fixture
def hub(make_hub, database_url):
    """On either database."""
    return make_hub(database=database_url)


def on_disk(hub):
    """By another road: what `du` says the folder takes."""
    told = subprocess.run(
        ["du", "--block-size=1", "-s", str(store(hub))], capture_output=True, text=True, check=True
    )
    return int(told.stdout.split()[0])


def blob_bytes(hub):
    return sum(p.stat().st_size for p in (store(hub) / "blobs").rglob("*") if p.is_file())


def test_an_empty_store(hub):
    usage = hub.store.usage()
    assert (usage.files, usage.bytes, usage.saved, usage.repos) == (0, 0, 0, ())
    assert usage.disk == on_disk(hub)
    assert usage.free


def test_the_sums_are_those_of_the_disk_and_shared_bytes_count_once(hub, twin):
    mine = hub.pull(f"{MODEL}:q8_0")
    theirs = hub.pull(f"{twin}:q8_0")
    stray = put(hub, b"of nobody" * 1000)
    (store(hub) / "quarantine" / "x").write_bytes(bytes(500))
    usage = hub.store.usage()
    assert usage.files == len(blobs(hub))
    assert usage.bytes == blob_bytes(hub)
    assert usage.disk == on_disk(hub)
    assert usage.quarantine == 500
    sizes = {file.sha256: file.size for file in (*mine.files, *theirs.files)}
    assert usage.used == sum(sizes.values()) == usage.bytes - 9000
    by_name = {repo.repo: repo for repo in usage.repos}
    for name, pulled in ((MODEL, mine), (TWIN, theirs)):
        assert by_name[name].bytes == sum(file.size for file in pulled.files)
        assert by_name[name].last_used is not None
    shared = {f.sha256 for f in mine.files} & {f.sha256 for f in theirs.files}
    assert usage.saved == sum(sizes[digest] for digest in shared) > 0
    assert hub.store.usage(twin).saved == usage.saved
    assert by_name[MODEL].own == by_name[MODEL].bytes - usage.saved
    (weights,) = [one for one in by_name[MODEL].components if one.bytes == usage.saved]
    assert weights.files == 1
    small = [f.size for f in (*mine.files, *theirs.files) if f.link == "copy"]
    assert usage.copies == sum(small)
    assert stray
    text = str(usage)
    assert TWIN in text
    assert f"  {weights.name}" in text
    assert "of no repository" in text
    assert Usage.model_validate(usage.model_dump()) == usage


def test_one_repository_also_a_forgotten_one(hub, twin):
    hub.pull(f"{MODEL}:q8_0")
    hub.pull(f"{twin}:q8_0")
    (repo,) = hub.store.usage(twin).repos
    assert (repo.repo, repo.forgotten) == (TWIN, False)
    hub.forget(twin)
    (repo,) = hub.store.usage(twin).repos
    assert repo.forgotten
    assert f"{TWIN} (forgotten)" in str(hub.store.usage(twin))
    with pytest.raises(RepositoryNotFound):
        hub.store.usage("no/such")


def test_an_incomplete_download_counts_by_what_it_takes(hub):
    part = store(hub) / "tmp" / f"{'ab' * 32}.part"
    part.write_bytes(bytes(range(256)) * 400)
    os.truncate(part, 10_000_000)  # the rest is a hole
    usage = hub.store.usage()
    assert part.stat().st_blocks * 512 == usage.parts < 10_000_000
    assert usage.disk == on_disk(hub)
