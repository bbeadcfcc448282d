"""Servers that fail, and two hosts at once: never a wrong byte, and never a lost one."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelhub.refs import Digest, RepoPath
from modelhub.store.remote import s3
from modelhub.store.testing import COMMIT, pattern, put

from .conftest import drop_copies
from .servers import BUCKET

LARGE = 2 * s3.PART + 12_345


@pytest.mark.parametrize("kind", ["moto", "s3rver"])
def test_a_server_that_fails_every_third_call_loses_nothing(kind, sites, faulty):
    address, faults = faulty(kind)
    site = sites(kind, address)
    one, two = site.host("one"), site.host("two")
    faults.every(3, "500", "reset", "503", "truncate", "answer lost")
    data = {RepoPath(f"{number}.gguf"): pattern(50_000, number) for number in range(6)}
    data[RepoPath("large.gguf")] = pattern(LARGE)
    digests = {path: put(one, each, path).digest for path, each in data.items()}
    linked = two.link("v", "n", COMMIT, digests)
    for path, each in data.items():
        assert (linked.path / path).read_bytes() == each
        assert site.road.get(f"blobs/sha256/{digests[path][:2]}/{digests[path]}") == each
    assert len(faults.injected) >= 10
    assert len(set(faults.injected)) == 5
    assert not [key for key in site.road.listed() if key.startswith("quarantine")]


def test_a_large_blob_goes_up_in_parts_and_an_upload_that_never_ended_is_given_up(sites):
    site = sites("moto")
    store = site.host()
    stale = site.road.client.create_multipart_upload(Bucket=BUCKET, Key=f"{site.road.prefix}/blobs/x")
    other = site.road.client.create_multipart_upload(Bucket=BUCKET, Key="elsewhere/x")
    record = put(store, pattern(LARGE))
    drop_copies(store)
    assert store.verify([record.digest])[record.digest].size == LARGE
    assert store.sweep() == 1  # moto says of every upload that it began in 2010
    left = {each["UploadId"] for each in site.road.uploads()}
    assert other["UploadId"] in left
    assert stale["UploadId"] not in left
    site.road.client.abort_multipart_upload(Bucket=BUCKET, Key="elsewhere/x", UploadId=other["UploadId"])


@pytest.mark.parametrize("kind", ["moto", "s3rver"])
def test_two_hosts_that_store_and_delete_the_same_never_lose_what_is_recorded(kind, sites):
    site = sites(kind)
    one, two, third = (site.host(name) for name in ("one", "two", "three"))
    data = [pattern(30_000, number) for number in range(3)]
    digests = [Digest.of(each) for each in data]

    def write(store):
        for _ in range(4):
            for each in data:
                put(store, each)

    def delete():
        for _ in range(4):
            for digest in digests:
                third.remove(digest, lambda: True)

    with ThreadPoolExecutor(3) as pool:
        for work in [pool.submit(write, one), pool.submit(write, two), pool.submit(delete)]:
            work.result()
    for digest, each in zip(digests, data, strict=True):
        raw = site.road.get(f"blobs/sha256/{digest[:2]}/{digest}")
        assert raw in (None, each)
        put(one, each)
        assert two.read(digest, 30_000) == each


WRITER = """
import sys
from pathlib import Path
from modelhub.store import FileLedger, StoreOptions
from modelhub.store.remote import RemoteStore
from modelhub.store.testing import pattern, put
uri, endpoint, cache, ledger = sys.argv[1:]
with RemoteStore.open(uri, FileLedger(ledger), options=StoreOptions(Path(cache), None, endpoint)) as store:
    while True:
        for number in range(20):
            put(store, pattern(40_000, number))
        print("round", flush=True)
"""


@pytest.mark.soak
def test_a_writer_that_is_killed_leaves_nothing_half_written(sites, rounds, tmp_path):
    site = sites("moto")
    store = site.host("reader")
    right = {Digest.of(pattern(40_000, number)): number for number in range(20)}
    for number in range(rounds(3, 40)):
        given = [site.road.uri, site.endpoint, str(tmp_path / f"c{number % 2}"), str(tmp_path / "l")]
        process = subprocess.Popen([sys.executable, "-c", WRITER, *given], stdout=subprocess.PIPE)
        process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
        for key in site.road.listed():
            digest = Digest(key.rpartition("/")[2])
            assert site.road.get(key) == pattern(40_000, right[digest])
    drop_copies(store)
    assert set(store.verify(right)) == set(right)
