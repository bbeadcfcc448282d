"""Listings, revisions and who may see them, asked by the real client."""

import hashlib
import shutil
from pathlib import Path

import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder

from tests.zoo.hub_server import HubServer

from .client import REPO, TOKEN, WEIGHTS, api, download, write


def test_model_info_has_files_and_card(server: HubServer, folder: Path) -> None:
    info = api(server).model_info(REPO, files_metadata=True)
    assert (info.id, info.sha, info.author) == (REPO, server.commit(REPO), "zoo")
    assert (info.private, info.gated, info.disabled) == (False, False, False)
    assert (info.pipeline_tag, info.library_name) == ("text-generation", "transformers")
    assert info.card_data is not None
    assert info.card_data.license == "apache-2.0"
    assert {"tiny", "chat", "gguf", "license:apache-2.0", "base_model:zoo/base"} <= set(info.tags or [])
    files = {file.rfilename: file for file in info.siblings or []}
    assert set(files) == {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    weights = files["tiny.gguf"].lfs
    assert weights is not None
    assert weights.sha256 == hashlib.sha256((folder / "tiny.gguf").read_bytes()).hexdigest()
    assert (weights.size, files["tiny.gguf"].size) == (WEIGHTS, WEIGHTS)
    assert files["config.json"].lfs is None


def test_oids_are_those_of_git(server: HubServer, tmp_path: Path) -> None:
    """Known values: `git hash-object` of an empty file and of "hello\\n"."""
    server.add("zoo/oids", write(tmp_path, {"a.txt": b"", "b.txt": b"hello\n"}))
    entries = {entry.path: entry for entry in api(server).list_repo_tree("zoo/oids")}
    assert isinstance(entries["a.txt"], RepoFile)
    assert entries["a.txt"].blob_id == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert isinstance(entries["b.txt"], RepoFile)
    assert entries["b.txt"].blob_id == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_info_of_a_revision_and_of_chosen_properties(server: HubServer) -> None:
    commit = server.commit(REPO)
    assert api(server).model_info(REPO, revision=commit, securityStatus=True).security_repo_status
    info = api(server).model_info(REPO, expand=["sha", "cardData", "tags"])
    assert info.sha == commit
    assert info.card_data is not None
    assert info.siblings is None


def test_names_compare_without_case_and_print_as_spelt(server: HubServer) -> None:
    assert api(server).model_info(REPO.lower()).id == REPO


def test_a_repository_without_a_vendor(server: HubServer, tmp_path: Path) -> None:
    server.add("gpt2", write(tmp_path / "repo", {"config.json": b"{}", "sub/x.txt": b"x"}))
    assert api(server).model_info("gpt2").id == "gpt2"
    assert api(server).file_exists("gpt2", "sub/x.txt")
    assert download(server, "sub/x.txt", tmp_path / "cache", repo_id="gpt2") == b"x"


def test_tree(server: HubServer) -> None:
    top = {entry.path: entry for entry in api(server).list_repo_tree(REPO)}
    assert isinstance(top["onnx"], RepoFolder)
    assert "onnx/model.onnx" not in top
    below = [entry.path for entry in api(server).list_repo_tree(REPO, "onnx")]
    assert below == ["onnx/config.json", "onnx/model.onnx"]
    everything = list(api(server).list_repo_tree(REPO, recursive=True, expand=True))
    assert {entry.path for entry in everything} == set(top) | set(below)
    weights = next(entry for entry in everything if entry.path == "tiny.gguf")
    assert isinstance(weights, RepoFile)
    assert weights.lfs is not None
    assert weights.lfs.size == WEIGHTS
    assert weights.last_commit is not None
    assert weights.security is not None
    assert weights.security.safe
    assert weights.xet_hash is None


def test_tree_in_pages(own: HubServer) -> None:
    whole = [entry.path for entry in api(own).list_repo_tree(REPO, recursive=True)]
    own.page_size = 2
    own.reset_counts()
    assert [entry.path for entry in api(own).list_repo_tree(REPO, recursive=True)] == whole
    assert len(own.requests) == (len(whole) + 1) // 2


def test_paths_info(server: HubServer) -> None:
    found = api(server).get_paths_info(REPO, ["tiny.gguf", "onnx", "no.txt"], expand=True)
    assert [(type(entry), entry.path) for entry in found] == [
        (RepoFile, "tiny.gguf"),
        (RepoFolder, "onnx"),
    ]


def test_whoami_and_access(own: HubServer, folder: Path) -> None:
    own.add("zoo/gated", folder, gated=True, token=TOKEN)
    assert api(own, TOKEN).whoami()["name"] == "zoo"
    api(own, TOKEN).auth_check("zoo/gated")
    with pytest.raises(GatedRepoError):
        api(own).auth_check("zoo/gated")
    with pytest.raises(HfHubHTTPError, match="Invalid"):
        api(own, TOKEN + "x").whoami()


def test_broken_cards_leave_no_card_data(own: HubServer, tmp_path: Path) -> None:
    for number, card in enumerate((b"---\na: [\n---\n", b"---\nnever: closed\n", b"# no card", b"\xff")):
        own.add(f"zoo/card-{number}", write(tmp_path / str(number), {"README.md": card}))
        assert api(own).model_info(f"zoo/card-{number}").card_data is None


def test_push_keeps_earlier_commits(own: HubServer, folder: Path, tmp_path: Path) -> None:
    first = own.tag(REPO, "v1.0")
    second = own.push(REPO, write(tmp_path / "new", {"config.json": b'{"new": 1}'}), title="Smaller")
    assert own.commit(REPO) == second != first
    old, new = (download(own, "config.json", tmp_path, revision=sha) for sha in (first, second))
    assert old == (folder / "config.json").read_bytes()
    assert new == b'{"new": 1}'
    assert [entry.commit_id for entry in api(own).list_repo_commits(REPO)] == [second, first]
    assert [entry.commit_id for entry in api(own).list_repo_commits(REPO, revision="v1.0")] == [first]
    assert api(own).list_repo_commits(REPO)[0].title == "Smaller"


def test_refs(own: HubServer, folder: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", {"a.txt": b"a"})
    own.add("zoo/refs", folder, branches={"dev": other})
    own.push("zoo/refs", other, branch="refs/pr/1")
    own.tag("zoo/refs", "v1", "dev")
    refs = api(own).list_repo_refs("zoo/refs", include_pull_requests=True)
    main, dev = own.commit("zoo/refs"), own.commit("zoo/refs", "dev")
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"dev": dev, "main": main}
    assert [(ref.name, ref.ref, ref.target_commit) for ref in refs.tags] == [("v1", "refs/tags/v1", dev)]
    assert [ref.ref for ref in refs.pull_requests or []] == ["refs/pr/1"]
    assert download(own, "a.txt", tmp_path / "cache", repo_id="zoo/refs", revision="refs/pr/1") == b"a"
    assert api(own).model_info("zoo/refs", revision="refs/pr/1").sha == dev


def test_commits_depend_on_content_alone(own: HubServer, folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    first = own.commit(REPO)
    assert own.add("zoo/copy", copy) == first
    same_size = (write(tmp_path / name, {"a.txt": name.encode()}) for name in ("x", "y"))
    second, third = (own.push(REPO, edited) for edited in same_size)
    assert own.push(REPO, copy) == own.push(REPO, folder) == first == own.commit(REPO)
    assert [entry.commit_id for entry in api(own).list_repo_commits(REPO)] == [
        first,
        third,
        second,
        first,
    ]
    assert len({first, second, third}) == 3
    assert len(first) == 40


def test_a_folder_that_was_edited_is_refused(own: HubServer, tmp_path: Path) -> None:
    repo = write(tmp_path, {"config.json": b"{}"})
    own.add("zoo/edited", repo)
    write(tmp_path, {"config.json": b"[]"})
    with pytest.raises(ValueError, match=r"config\.json was edited"):
        own.push("zoo/edited", repo)


def test_mistakes_of_the_caller(own: HubServer, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="served already"):
        own.add(REPO.upper(), folder)
    with pytest.raises(NotADirectoryError, match="missing"):
        own.add("zoo/none", tmp_path / "missing")
    with pytest.raises(LookupError, match="zoo/none is not served"):
        own.commit("zoo/none")
    with pytest.raises(LookupError, match="no revision dev"):
        own.commit(REPO, "dev")
