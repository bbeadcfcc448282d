"""The Hugging Face source against the zoo's hub server: real huggingface_hub, real sockets."""

import hashlib

import pytest

from modelhub.errors import (
    FileNotInRepository,
    GatedRepository,
    IntegrityError,
    InvalidInput,
    InvalidReference,
    RepositoryNotFound,
    RevisionNotFound,
    UnsafePath,
)
from modelhub.facts import RepoFile, RepoId
from modelhub.refs import ModelRef, RepoPath
from modelhub.sources.huggingface import HuggingFaceSource
from modelhub.sources.testing import SourceContract, drain
from modelhub.sources.transport import Transport
from tests.zoo.hub_server import Fault, HubServer

from .asking import errors_of
from .tiny_repo import FILES, REPO, TOKEN, WEIGHTS, make, ref


class TestContract(SourceContract):
    cdn, page_size, repo = True, 2, REPO

    @pytest.fixture(autouse=True)
    def server(self, repo_folder):
        with HubServer({self.repo: repo_folder}, cdn=self.cdn, page_size=self.page_size) as self.hub:
            yield

    def make_source(self):
        return HuggingFaceSource(self.hub.endpoint, "", transport=Transport(proxies={}))

    def reference(self):
        return ref(self.repo)

    def missing_reference(self):
        return ref("zoo/nothing")

    def content(self):
        return FILES


class TestContractOfAPlainMirror(TestContract):
    """One origin, the tree in one page, no vendor."""

    cdn, page_size, repo = False, None, "gpt2"


def test_listing(source, hub):
    listing = source.describe(ref())
    assert listing.repo == RepoId(source="huggingface", vendor="Zoo", name="Tiny-GGUF")
    assert listing.commit == hub.commit(REPO)
    assert listing.revision == listing.default_branch == "main"
    assert listing.source_uri == f"{hub.endpoint}/{REPO}" == source.uri(ref())
    assert {file.path: file.size for file in listing.files} == {p: len(d) for p, d in FILES.items()}
    assert [file.path for file in listing.files] == sorted(FILES)
    weights = listing.by_path["tiny.q8_0.gguf"]
    assert weights.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    config = listing.by_path["config.json"]
    assert config.sha256 is None
    assert config.git_oid == hashlib.sha1(b"blob 8\0" + FILES["config.json"]).hexdigest()
    assert listing.card["license"] == listing.license == "mit"
    assert listing.pipeline_tag == "text-generation"
    assert listing.library_name == "gguf"
    assert {"tiny", "license:mit", "gguf"} <= set(listing.tags)
    assert (listing.gated, listing.private) == (False, False)
    assert listing.last_modified is not None
    assert listing.last_modified.isoformat() == "2026-01-01T00:00:00+00:00"


def test_listing_reads_no_file(source, hub):
    source.describe(ref())
    assert all(request.path.startswith("/api/models/") for request in hub.requests)


def test_names_compare_without_case(source):
    assert source.describe(ref("zoo/tiny-gguf")).repo.id == REPO


def test_vendorless(make_source, hub, repo_folder):
    hub.add("gpt2", repo_folder)
    source = make_source()
    listing = source.describe(ref("gpt2"))
    assert (listing.repo.vendor, listing.repo.name, listing.repo.id) == ("", "gpt2", "gpt2")
    assert source.read(listing, listing.by_path["config.json"], 0, 99) == FILES["config.json"]


def test_revisions(source, hub, tmp_path):
    first = hub.commit(REPO)
    second = hub.push(REPO, make(tmp_path / "two", {"config.json": b"{}"}), branch="dev")
    hub.tag(REPO, "v1.0")
    hub.push(REPO, make(tmp_path / "three", {"config.json": b"[]"}), branch="refs/pr/1")
    assert source.describe(ref(f"{REPO}@dev")).commit == second
    assert source.describe(ref(f"{REPO}@dev")).revision == "dev"
    assert source.describe(ref(f"{REPO}@v1.0")).commit == first
    assert source.describe(ref(f"{REPO}@{second}")).commit == second
    assert source.describe(ref(f"{REPO}@refs/pr/1")).commit == hub.commit(REPO, "refs/pr/1")


def test_a_listing_stays_at_its_commit(source, hub, tmp_path):
    before = source.describe(ref())
    hub.push(REPO, make(tmp_path / "two", {"config.json": b"new"}))
    assert source.read(before, before.by_path["config.json"], 0, 99) == FILES["config.json"]


# Bad input


@pytest.mark.parametrize(("token", "hint"), [("", "set HF_TOKEN"), (TOKEN, "the token in use")])
def test_unknown_repository(make_source, token, hint):
    with pytest.raises(RepositoryNotFound, match="no repository zoo/tyni") as caught:
        make_source(token).describe(ref("zoo/tyni"))
    assert hint in caught.value.hint


def test_unknown_revision_lists_what_exists(source, hub, repo_folder):
    hub.tag(REPO, "v1.0")
    hub.push(REPO, repo_folder, branch="maintenance")
    error = errors_of(lambda: source.describe(ref(f"{REPO}@mian"))).value
    assert isinstance(error, RevisionNotFound)
    assert error.hint == "It has main, maintenance, v1.0."
    assert error.details["available"] == ["main", "maintenance", "v1.0"]
    assert error.details["revision"] == "mian"


def test_unknown_revision_where_branches_cannot_be_listed(source, hub):
    hub.faults["*/refs"] = Fault(status=403)
    error = errors_of(lambda: source.describe(ref(f"{REPO}@mian"))).value
    assert isinstance(error, RevisionNotFound)
    assert error.hint


def test_private(make_source, hub, repo_folder):
    hub.add("zoo/private", repo_folder, private=True, token=TOKEN)
    for token in ("", "hf_wrong"):
        error = errors_of(lambda token=token: make_source(token).describe(ref("zoo/private"))).value
        assert isinstance(error, RepositoryNotFound)
    source = make_source(TOKEN)
    listing = source.describe(ref("zoo/private"))
    assert listing.private
    assert drain(source, listing, listing.by_path["tiny.q8_0.gguf"]) == WEIGHTS


def test_gated(make_source, hub, repo_folder):
    hub.add("zoo/gated", repo_folder, gated=True, token=TOKEN)
    source = make_source("")
    listing = source.describe(ref("zoo/gated"))
    assert listing.gated
    for read in (
        lambda: source.read(listing, listing.by_path["config.json"], 0, 1),
        lambda: drain(source, listing, listing.by_path["tiny.q8_0.gguf"]),
    ):
        error = errors_of(read).value
        assert isinstance(error, GatedRepository)
        assert f"{hub.endpoint}/zoo/gated" in error.hint
        assert "HF_TOKEN" in error.hint
    stranger = make_source("hf_wrong")
    error = errors_of(lambda: stranger.read(listing, listing.by_path["config.json"], 0, 1)).value
    assert isinstance(error, GatedRepository)
    assert "HF_TOKEN" not in error.hint
    member = make_source(TOKEN)
    assert drain(member, listing, listing.by_path["tiny.q8_0.gguf"]) == WEIGHTS


@pytest.mark.parametrize("path", ["/api/models/*/tree/*", "/api/models/Zoo/Tiny-GGUF"])
def test_gated_listing(source, hub, path, monkeypatch):
    """A hub that hides the listing of a gated repository too."""
    from tests.zoo.hub_server import routes

    def refuse(handler, repo, rest):
        if path.endswith("*") == ("tree" in rest):
            raise routes.RefusalError(403, "GatedRepo", "Access is restricted.")
        answer(handler, repo, rest)

    answer = routes.HubHandler._api
    monkeypatch.setattr(routes.HubHandler, "_api", refuse)
    error = errors_of(lambda: source.describe(ref())).value
    assert isinstance(error, GatedRepository)


def test_file_that_is_not_there(source):
    listing = source.describe(ref())
    with pytest.raises(FileNotInRepository, match=r"no file x\.bin at"):
        source.read(listing, RepoFile(path=RepoPath("x.bin"), size=4), 0, 4)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a\\b", "aux.bin", "README.md ", "readme.MD"]
)
def test_hostile_names_refuse_the_repository(source, hub, name):
    hub.faults["config.json"] = Fault(name=name)
    with pytest.raises(UnsafePath):
        source.describe(ref())


def test_size_that_is_a_lie(source, hub):
    hub.faults["tiny.q8_0.gguf"] = Fault(size=300_001)
    listing = source.describe(ref())
    file = listing.by_path["tiny.q8_0.gguf"]
    for read in (lambda: source.read(listing, file, 0, 10), lambda: drain(source, listing, file)):
        error = errors_of(read).value
        assert isinstance(error, IntegrityError)
        assert (error.details["expected"], error.details["actual"]) == (300_001, 300_000)


def test_a_path_is_no_reference(source):
    with pytest.raises(InvalidReference, match="is a path"):
        source.describe(ref("/tmp/x"))


def test_name_that_the_hub_cannot_have(source):
    with pytest.raises(InvalidReference):
        source.describe(ModelRef("x--y", "zoo"))


@pytest.mark.parametrize(
    "endpoint", ["", "huggingface.co", "ftp://x", "https://u:p@host", "https://h?x=1", "https://h#f"]
)
def test_endpoint_that_is_none(endpoint):
    with pytest.raises(InvalidInput, match="endpoint must be") as caught:
        HuggingFaceSource(endpoint)
    assert "u:p" not in str(caught.value)


def test_endpoint_in_a_folder():
    assert (
        HuggingFaceSource("https://host/artifacts/hf/").uri(ref()) == f"https://host/artifacts/hf/{REPO}"
    )
