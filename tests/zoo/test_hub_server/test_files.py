"""The bytes of files, by the real client and by bare HTTP; what is counted; the second origin."""

import hashlib
import threading
import urllib.request
from pathlib import Path

import pytest
from huggingface_hub import get_hf_file_metadata, hf_hub_url, snapshot_download

from tests.zoo.hub_server import Fault, HubServer

from .client import REPO, TOKEN, WEIGHTS, api, connect, download, fetch, url


def test_download(server: HubServer, folder: Path, tmp_path: Path) -> None:
    for name in ("tiny.gguf", "config.json", "onnx/model.onnx", "empty.txt"):
        assert download(server, name, tmp_path) == (folder / name).read_bytes()


def test_snapshot(server: HubServer, folder: Path, tmp_path: Path) -> None:
    path = Path(snapshot_download(REPO, endpoint=server.endpoint, cache_dir=tmp_path, token=False))
    assert path.name == server.commit(REPO)
    for source in folder.rglob("*"):
        if source.is_file():
            assert (path / source.relative_to(folder)).read_bytes() == source.read_bytes()


def test_head_has_no_body(server: HubServer, folder: Path) -> None:
    digest = hashlib.sha256((folder / "tiny.gguf").read_bytes()).hexdigest()
    status, headers, body = fetch(server, url("tiny.gguf"), "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(WEIGHTS))
    assert headers["ETag"] == headers["X-Linked-Etag"] == f'"{digest}"'
    assert (headers["X-Linked-Size"], headers["Accept-Ranges"]) == (str(WEIGHTS), "bytes")
    assert headers["X-Repo-Commit"] == server.commit(REPO)
    assert "X-Linked-Etag" not in fetch(server, url("config.json"), "HEAD")[1]
    assert server.bytes_sent() == 0


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=2999990-", 2_999_990, WEIGHTS),
        ("bytes=-7", WEIGHTS - 7, WEIGHTS),
        ("bytes=3000000-9999999", 3_000_000, WEIGHTS),
        ("bytes=-99999999", 0, WEIGHTS),
    ],
)
def test_ranges(server: HubServer, folder: Path, asked: str, start: int, stop: int) -> None:
    status, headers, body = fetch(server, url("tiny.gguf"), Range=asked)
    assert status == 206
    assert headers["Content-Range"] == f"bytes {start}-{stop - 1}/{WEIGHTS}"
    assert body == (folder / "tiny.gguf").read_bytes()[start:stop]
    assert server.bytes_sent("tiny.gguf") == stop - start


@pytest.mark.parametrize("asked", ["bytes=3000001-", "bytes=-0", "bytes=99999999-999999999"])
def test_ranges_outside(server: HubServer, asked: str) -> None:
    status, headers, _ = fetch(server, url("tiny.gguf"), Range=asked)
    assert (status, headers["Content-Range"]) == (416, f"bytes */{WEIGHTS}")


@pytest.mark.parametrize("asked", ["bytes=9-5", "bytes=-", "lines=0-1", "bytes=0-0,5-9"])
def test_ranges_that_may_be_ignored(server: HubServer, asked: str) -> None:
    status, _, body = fetch(server, url("tiny.gguf"), Range=asked)
    assert (status, len(body)) == (200, WEIGHTS)


def test_conditions(server: HubServer) -> None:
    etag = fetch(server, url("config.json"), "HEAD")[1]["ETag"]
    assert fetch(server, url("config.json"), If_None_Match=f'"x", W/{etag}')[0] == 304
    assert fetch(server, url("config.json"), If_None_Match='"x"')[0] == 200
    assert fetch(server, url("config.json"), If_Match='"x"')[0] == 412
    assert fetch(server, url("config.json"), If_Match=etag, Range="bytes=0-1")[0] == 206
    assert fetch(server, url("config.json"), If_Range=etag, Range="bytes=0-1")[0] == 206
    assert fetch(server, url("config.json"), If_Range='"x"', Range="bytes=0-1")[0] == 200


def test_a_connection_is_kept(server: HubServer) -> None:
    connection = connect(server.endpoint)
    sockets = set()
    try:
        for path, status in (
            (url("config.json"), 200),
            ("/api/models/zoo/none", 401),
            (url("x"), 404),
        ):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            sockets.add(connection.sock)
            assert answer.status == status
    finally:
        connection.close()
    assert len(sockets) == 1


def test_records(server: HubServer) -> None:
    fetch(server, url("tiny.gguf") + "?download=true", Range="bytes=0-99", Authorization="Bearer x")
    fetch(server, url("nope"))
    ranged, missing = server.requests
    assert (ranged.origin, ranged.method, ranged.path) == ("hub", "GET", url("tiny.gguf"))
    assert (ranged.query, ranged.status, ranged.range) == ("download=true", 206, "bytes=0-99")
    assert (ranged.authorized, ranged.bytes_sent) == (True, 100)
    assert (missing.status, missing.authorized, missing.range) == (404, False, None)
    assert server.bytes_sent(".gguf") == 100 < server.bytes_sent()
    server.reset_counts()
    assert server.requests == []


def test_listing_reads_no_weights(server: HubServer) -> None:
    api(server).model_info(REPO, files_metadata=True)
    list(api(server).list_repo_tree(REPO, recursive=True))
    assert server.bytes_sent("tiny.gguf") == 0
    assert server.bytes_sent() > 0


def test_what_a_client_does_not_read_is_not_counted_as_sent(own: HubServer, tmp_path: Path) -> None:
    """The kernel buffers some megabytes; the rest of a large file stays unsent when the client leaves."""
    size = 64 << 20
    with (tmp_path / "big.gguf").open("wb") as sparse:
        sparse.truncate(size)
    own.add("zoo/big", tmp_path)
    with urllib.request.urlopen(own.endpoint + url("big.gguf", "zoo/big"), timeout=20) as answer:
        assert len(answer.read(1000)) == 1000
    assert 1000 <= own.bytes_sent("big.gguf") < size


def test_large_files_move_to_another_origin(folder: Path, tmp_path: Path) -> None:
    with HubServer(cdn=True) as server:
        server.add(REPO, folder, gated=True, token=TOKEN)
        data = download(server, "tiny.gguf", tmp_path, token=TOKEN)
        assert data == (folder / "tiny.gguf").read_bytes()
        download(server, "config.json", tmp_path, token=TOKEN)
        hub = [record for record in server.requests if record.origin == "hub"]
        cdn = [record for record in server.requests if record.origin == "cdn"]
        assert all(record.authorized for record in hub)
        assert [record.authorized for record in cdn] == [False]
        assert cdn[0].bytes_sent == WEIGHTS == server.bytes_sent("tiny.gguf")


def test_metadata_is_on_the_redirect(folder: Path) -> None:
    with HubServer({REPO: folder}, cdn=True) as server:
        assert server.cdn_endpoint is not None
        metadata = get_hf_file_metadata(hf_hub_url(REPO, "tiny.gguf", endpoint=server.endpoint))
        assert (metadata.size, metadata.commit_hash) == (WEIGHTS, server.commit(REPO))
        assert metadata.location.startswith(server.cdn_endpoint)
        unsigned = metadata.location.partition("?")[0].removeprefix(server.cdn_endpoint)
        connection = connect(server.cdn_endpoint)
        connection.request("GET", unsigned)
        assert connection.getresponse().status == 403
        connection.close()


def test_ranges_follow_the_redirect(folder: Path) -> None:
    with HubServer({REPO: folder}, cdn=True) as server:
        status, _, body = fetch(server, url("tiny.gguf"), Range="bytes=10-19")
        assert (status, body) == (206, (folder / "tiny.gguf").read_bytes()[10:20])
        assert server.bytes_sent() == 10


def test_faults_strike_the_body_there(folder: Path) -> None:
    with HubServer({REPO: folder}, cdn=True) as server:
        server.faults[f"{REPO}/tiny.gguf"] = Fault(flip=0, times=1)
        good = (folder / "tiny.gguf").read_bytes()
        assert fetch(server, url("tiny.gguf"))[2] == bytes([good[0] ^ 0xFF]) + good[1:]
        assert fetch(server, url("tiny.gguf"))[2] == good


def test_many_clients_at_once(server: HubServer, folder: Path) -> None:
    good, answers = (folder / "tiny.gguf").read_bytes(), []
    threads = [
        threading.Thread(target=lambda: answers.append(fetch(server, url("tiny.gguf"))[2] == good))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [True] * 16
    assert server.bytes_sent("tiny.gguf") == 16 * WEIGHTS


def test_a_server_has_no_address_before_it_starts(folder: Path) -> None:
    server = HubServer({REPO: folder})
    with pytest.raises(RuntimeError, match="before start"):
        _ = server.endpoint
    server.start()
    with pytest.raises(RuntimeError, match="runs already"):
        server.start()
    server.close()
    server.close()
