"""Faults on purpose."""

import json
import threading
from http.client import IncompleteRead
from pathlib import Path
from urllib.parse import quote

import pytest
from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile

from tests.zoo.hub_server import Fault, HubServer

from .client import REPO, WEIGHTS, api, connect, download, fetch, url


def test_a_flipped_byte(own: HubServer, folder: Path, tmp_path: Path) -> None:
    """The real client does not notice: it compares sizes, not hashes."""
    own.faults["tiny.gguf"] = Fault(flip=2_000_000)
    good, bad = (folder / "tiny.gguf").read_bytes(), download(own, "tiny.gguf", tmp_path)
    assert [i for i in range(WEIGHTS) if good[i] != bad[i]] == [2_000_000]
    assert fetch(own, url("tiny.gguf"), Range="bytes=2000000-2000000")[2] != good[2_000_000:2_000_001]
    assert fetch(own, url("tiny.gguf"), Range="bytes=0-9")[2] == good[:10]


def test_a_truncated_body(own: HubServer, folder: Path, tmp_path: Path) -> None:
    own.faults["tiny.gguf"] = Fault(truncate=1000)
    with pytest.raises(IncompleteRead) as short:
        fetch(own, url("tiny.gguf"))
    assert short.value.partial == (folder / "tiny.gguf").read_bytes()[:1000]
    assert own.bytes_sent("tiny.gguf") == 1000
    own.faults["tiny.gguf"] = Fault(truncate=1000, times=1)
    assert download(own, "tiny.gguf", tmp_path) == (folder / "tiny.gguf").read_bytes()
    del own.faults["tiny.gguf"]
    own.faults["*/tree/main"] = Fault(truncate=10)
    with pytest.raises(IncompleteRead):
        fetch(own, f"/api/models/{REPO}/tree/main")


def test_a_truncated_body_ends_the_connection(own: HubServer) -> None:
    own.faults["tiny.gguf"] = Fault(truncate=1000)
    connection = connect(own.endpoint)
    connection.request("GET", url("tiny.gguf"))  # asks to keep the connection, as pooling clients do
    with pytest.raises(IncompleteRead):
        connection.getresponse().read()
    connection.close()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_errors_that_pass(own: HubServer, status: int) -> None:
    own.faults["tiny.gguf"] = Fault(status=status, retry_after=7, times=2)
    answers = [fetch(own, url("tiny.gguf")) for _ in range(3)]
    assert [answer[0] for answer in answers] == [status, status, 200]
    assert [answer[1].get("Retry-After") for answer in answers] == ["7", "7", None]
    own.faults["tiny.gguf"] = Fault(status=status, times=1)
    assert [fetch(own, url("tiny.gguf"))[0] for _ in range(2)] == [status, 200]


def test_the_client_waits_and_asks_again(own: HubServer, folder: Path, tmp_path: Path) -> None:
    own.faults["/resolve/*/config.json"] = Fault(
        status=500
    )  # strikes nothing: the repository is missing
    own.faults["*/resolve/*/config.json"] = Fault(status=429, retry_after=0, times=1)
    assert download(own, "config.json", tmp_path) == (folder / "config.json").read_bytes()
    assert [record.status for record in own.requests] == [200, 429, 200]


def test_methods(own: HubServer) -> None:
    own.faults["config.json"] = Fault(status=503, methods=("HEAD",))
    assert fetch(own, url("config.json"), "HEAD")[0] == 503
    assert fetch(own, url("config.json"))[0] == 200
    own.faults[f"{REPO}/revision/main"] = Fault(status=500)
    with pytest.raises(HfHubHTTPError, match="500"):
        api(own).model_info(REPO, revision="main")
    assert api(own).model_info(REPO).id == REPO


def test_a_stall_shows_what_came_before_it(own: HubServer, folder: Path) -> None:
    own.faults["tiny.gguf"] = Fault(stall=3600, stall_after=1000)
    connection = connect(own.endpoint)
    connection.request("GET", url("tiny.gguf"))
    answer = connection.getresponse()
    assert answer.read(1000) == (folder / "tiny.gguf").read_bytes()[:1000]
    connection.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        answer.read(1)
    assert own.bytes_sent("tiny.gguf") == 1000
    connection.close()


def test_closing_ends_a_stall(folder: Path) -> None:
    with HubServer({REPO: folder}) as server:
        server.faults["tiny.gguf"] = Fault(stall=3600)
        server.faults["config.json"] = Fault(delay=3600)
        readers = [threading.Thread(target=_read, args=(server, name)) for name in server.faults]
        for reader in readers:
            reader.start()
        while len(server.requests) < 2:
            threading.Event().wait(0.01)
    for reader in readers:
        reader.join(20)
        assert not reader.is_alive()


def test_a_slow_body_comes_in_small_pieces(own: HubServer, folder: Path) -> None:
    own.faults["onnx/model.onnx"] = Fault(rate=100_000, times=1)
    assert fetch(own, url("onnx/model.onnx"))[2] == (folder / "onnx/model.onnx").read_bytes()
    own.reset_counts()
    own.faults["onnx/model.onnx"] = Fault(rate=1)
    connection = connect(own.endpoint)
    connection.request("GET", url("onnx/model.onnx"))
    answer = connection.getresponse()
    assert len(answer.read(1)) == 1
    assert own.bytes_sent("model.onnx") < 4096
    connection.close()


def test_ignored_ranges(own: HubServer) -> None:
    own.faults["tiny.gguf"] = Fault(ignore_range=True)
    status, _, body = fetch(own, url("tiny.gguf"), Range="bytes=5-9")
    assert (status, len(body)) == (200, WEIGHTS)


def test_lies_about_size_and_hash(own: HubServer, tmp_path: Path) -> None:
    own.faults[f"{REPO}/tiny.gguf"] = Fault(size=5, sha256="0" * 64)
    (entry,) = api(own).get_paths_info(REPO, "tiny.gguf")
    assert isinstance(entry, RepoFile)
    assert entry.lfs is not None
    assert (entry.size, entry.lfs.size, entry.lfs.sha256) == (5, 5, "0" * 64)
    metadata = get_hf_file_metadata(hf_hub_url(REPO, "tiny.gguf", endpoint=own.endpoint))
    assert (metadata.size, metadata.etag) == (5, "0" * 64)
    with pytest.raises(OSError, match="Consistency check failed"):
        download(own, "tiny.gguf", tmp_path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\x", "a\\..\\b", "/etc/passwd", "x/é\n.gguf"])
def test_evil_names(own: HubServer, folder: Path, name: str) -> None:
    own.faults["tiny.gguf"] = Fault(name=name)
    listing = json.loads(fetch(own, f"/api/models/{REPO}/tree/main?recursive=true")[2])
    assert name in [entry["path"] for entry in listing if entry["type"] == "file"]
    siblings = json.loads(fetch(own, f"/api/models/{REPO}")[2])["siblings"]
    assert {"rfilename": name} in siblings
    assert {"rfilename": "tiny.gguf"} not in siblings
    quoted = quote(name)
    assert fetch(own, url(quoted))[2] == (folder / "tiny.gguf").read_bytes()


def test_two_faults_may_follow_each_other(own: HubServer) -> None:
    own.faults["config.json"] = Fault(status=503, times=1)
    own.faults["*config.json"] = Fault(truncate=0, times=1)
    assert fetch(own, url("config.json"))[0] == 503
    with pytest.raises(IncompleteRead):
        fetch(own, url("config.json"))
    assert fetch(own, url("config.json"))[0] == 200


def _read(server: HubServer, name: str) -> None:
    """Read until the server goes away, which may show as a short body or a reset connection."""
    try:
        fetch(server, url(name))
    except (IncompleteRead, OSError):
        return
