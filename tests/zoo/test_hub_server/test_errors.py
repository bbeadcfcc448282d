"""Errors as the real client raises them."""

import json
from pathlib import Path

import pytest
from huggingface_hub import get_hf_file_metadata
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.zoo.hub_server import HubServer

from .client import REPO, TOKEN, api, download, fetch, url


def test_what_is_missing(server: HubServer) -> None:
    with pytest.raises(RepositoryNotFoundError) as missing:
        api(server).model_info("zoo/none")
    assert missing.value.response.status_code == 401
    with pytest.raises(RepositoryNotFoundError) as known:
        api(server, TOKEN).model_info("zoo/none")
    assert known.value.response.status_code == 404
    with pytest.raises(RevisionNotFoundError):
        api(server).model_info(REPO, revision="nope/é")
    with pytest.raises(EntryNotFoundError):
        list(api(server).list_repo_tree(REPO, "additional_chat_templates"))
    assert not api(server).repo_exists("zoo/none")
    assert not api(server).repo_exists(REPO, repo_type="dataset")
    assert not api(server).revision_exists(REPO, "nope")
    assert not api(server).file_exists(REPO, "nope.txt")


def test_missing_files_name_the_commit(server: HubServer, tmp_path: Path) -> None:
    with pytest.raises(EntryNotFoundError):
        download(server, "nope.txt", tmp_path)
    assert list(tmp_path.glob(f"*/.no_exist/{server.commit(REPO)}/nope.txt"))


def test_gated(own: HubServer, folder: Path, tmp_path: Path) -> None:
    own.add("zoo/gated", folder, gated="auto", token=TOKEN)
    info = api(own).model_info("zoo/gated")
    assert info.gated == "auto"
    assert info.siblings
    for token, status in ((False, 401), (TOKEN + "x", 403)):
        with pytest.raises(GatedRepoError) as gated:
            get_hf_file_metadata(own.endpoint + url("config.json", "zoo/gated"), token=token)
        assert gated.value.response.status_code == status
    data = download(own, "tiny.gguf", tmp_path, repo_id="zoo/gated", token=TOKEN)
    assert data == (folder / "tiny.gguf").read_bytes()


def test_private(own: HubServer, folder: Path) -> None:
    own.add("zoo/secret", folder, private=True, token=TOKEN)
    assert api(own, TOKEN).model_info("zoo/secret").private is True
    for token in (False, TOKEN + "x"):
        assert not api(own, token).repo_exists("zoo/secret")
    assert fetch(own, url("config.json", "zoo/secret"))[0] == 401


def test_errors_always_say_why(server: HubServer) -> None:
    for path, status, code in (
        (url("a", "zoo/none"), 401, "RepoNotFound"),
        ("/api/models/zoo/none/tree/main", 401, "RepoNotFound"),
        ("/api/datasets/zoo/none", 401, "RepoNotFound"),
        (url("a", revision="x%0d%0aSet-Cookie:%20a"), 404, "RevisionNotFound"),
        (url("a%2F..%2Ftiny.gguf"), 404, "EntryNotFound"),
        ("/api/agent-harnesses", 404, None),
        (f"/{REPO}/blob/main/config.json", 404, None),
    ):
        answer, headers, body = fetch(server, path)
        assert (answer, headers.get("X-Error-Code")) == (status, code)
        assert json.loads(body)["error"]
        assert headers["X-Error-Message"]
        assert "Set-Cookie" not in headers
