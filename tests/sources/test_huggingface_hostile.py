"""A hub that lies in its answers, and a mirror that points elsewhere."""

import gzip
import json

import pytest

from modelhub.errors import GatedRepository, ModelHubError, RepositoryNotFound, SourceError
from modelhub.refs import ModelRef
from modelhub.sources.huggingface import HuggingFaceSource, tree

from .origin import Reply, origin

TOKEN = "hf_canary0123456789canary0123456789ca"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILE = {"type": "file", "path": "a.bin", "size": 3, "oid": "1" * 40}
INFO = {"_id": "x", "id": "zoo/x", "sha": COMMIT, "tags": ["t"], "private": False, "gated": False}


def as_json(value, **headers):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Reply(200, {"Content-Type": "application/json", **headers}, body)


def hub_of(info=INFO, pages=([FILE],)):
    """A hub with one repository, whose tree has `pages` as they stand."""

    def answer(seen):
        path, _, query = seen.target.partition("?")
        if "/tree/" not in path:
            return as_json(info)
        number = int(query.rpartition("page=")[2]) if "page=" in query else 0
        page = pages[number]
        more = {"Link": f'<{path}?page={number + 1}>; rel="next"'} if number + 1 < len(pages) else {}
        return as_json(page, **more)

    return origin(answer)


def describe(server, transport, token=""):
    source = HuggingFaceSource(server.url, token, transport=transport)
    return source.describe(ModelRef.parse("zoo/x"))


def test_pages(transport):
    pages = [
        [FILE | {"path": f"{n}.bin"}, {"type": "directory", "path": "d", "oid": "2" * 40}]
        for n in range(5)
    ]
    with hub_of(pages=pages) as server:
        assert [file.path for file in describe(server, transport).files] == [
            f"{n}.bin" for n in range(5)
        ]


def test_next_page_elsewhere_gets_no_token(transport):
    with origin(lambda seen: as_json([FILE | {"path": "b.bin"}])) as other:
        link = f'<{other.url}/api/models/zoo/x/tree/{COMMIT}?page=1>; rel="next"'

        def answer(seen):
            return as_json([FILE], Link=link) if "/tree/" in seen.target else as_json(INFO)

        with origin(answer) as server:
            listing = describe(server, transport, TOKEN)
    assert [file.path for file in listing.files] == ["a.bin", "b.bin"]
    assert all("authorization" in seen.headers for seen in server.seen)
    assert len(other.seen) == 1
    assert TOKEN not in str(other.seen)


def test_redirected_facts_get_no_token_elsewhere(transport):
    with origin(lambda seen: as_json(INFO)) as other:

        def answer(seen):
            return (
                as_json([FILE])
                if "/tree/" in seen.target
                else Reply(307, {"Location": other.url + seen.target})
            )

        with origin(answer) as server:
            describe(server, transport, TOKEN)
    assert len(other.seen) == 1
    assert TOKEN not in str(other.seen)


def test_pages_without_end(transport):
    def answer(seen):
        if "/tree/" not in seen.target:
            return as_json(INFO)
        return as_json([], Link=f'<{seen.target}>; rel="next"')

    with origin(answer) as server, pytest.raises(SourceError, match="do not end"):
        describe(server, transport)


@pytest.mark.parametrize(
    "page",
    [b"", b"<html>", b"{}", b"[1]", b'"x"', b"[" * 100_000, b"null", b'[{"type":"file"}]', b"9" * 5000],
)
def test_tree_that_is_none(transport, page):
    with hub_of(pages=[page]) as server, pytest.raises(SourceError, match="unusable answer"):
        describe(server, transport)


@pytest.mark.parametrize(
    "change",
    [
        {"size": -1},
        {"size": 1 << 62},
        {"size": (1 << 40) + 1},
        {"size": 1.5},
        {"size": "3"},
        {"size": True},
        {"size": None},
        {"path": None},
        {"path": 7},
        {"lfs": {"oid": "x" * 64}},
        {"lfs": {}},
        {"lfs": "sha"},
        {"lfs": {"oid": "A" * 64}},
    ],
)
def test_file_that_cannot_be(transport, change):
    with hub_of(pages=[[FILE | change]]) as server, pytest.raises(SourceError, match="unusable answer"):
        describe(server, transport)


def test_hashes_that_are_none_are_unknown(transport):
    """As the hub shows those of a gated repository."""
    page = [FILE | {"xetHash": "*" * 64, "oid": "*" * 40, "lfs": {"oid": "a" * 64, "size": 3}}]
    with hub_of(pages=[page]) as server:
        (file,) = describe(server, transport).files
    assert (file.xet_hash, file.git_oid, file.sha256) == (None, None, "a" * 64)
    with hub_of(pages=[[FILE | {"xetHash": "b" * 64}]]) as server:
        (file,) = describe(server, transport).files
    assert file.xet_hash == "b" * 64


@pytest.mark.parametrize(
    "more",
    [
        {"cardData": {"self": 1, "ignore_metadata_errors": 1}},
        {"inferenceProviderMapping": "x", "safetensors": 7, "evalResults": "y", "siblings": 3},
    ],
)
def test_facts_that_nobody_asked_for(transport, more):
    with hub_of(INFO | more) as server:
        assert describe(server, transport).commit == COMMIT


def test_facts_that_are_too_long(transport):
    with (
        hub_of(INFO | {"cardData": {"x": "y" * (4 << 20)}}) as server,
        pytest.raises(SourceError, match="longer than the 4194304 bytes"),
    ):
        describe(server, transport)


@pytest.mark.parametrize("only", ["/tree/", ""])
def test_compressed_answers_are_not_unpacked(transport, only):
    bomb = gzip.compress(json.dumps(INFO | {"cardData": {"x": " " * (8 << 20)}}).encode())

    def answer(seen):
        return as_json(bomb, **{"Content-Encoding": "gzip"}) if only in seen.target else as_json(INFO)

    with origin(answer) as server, pytest.raises(SourceError, match="compressed"):
        describe(server, transport)
    assert all(seen.headers["accept-encoding"] == "identity" for seen in server.seen)


@pytest.mark.parametrize(
    "page", [b"[" + b"{}," * 210_000 + b"{}]", b"[{" + b'"a":1,' * 410_000 + b'"a":1}]']
)
def test_page_with_more_values_than_a_tree_is_not_parsed(transport, page):
    assert len(page) < 8 << 20
    with hub_of(pages=[page]) as server, pytest.raises(SourceError, match="more values than any page"):
        describe(server, transport)


def test_mirror_with_20_000_files_in_one_page(transport):
    lfs = {"lfs": {"oid": "a" * 64, "size": 3, "pointerSize": 134}, "xetHash": "b" * 64}
    page = [FILE | lfs | {"path": f"{'folder/' * 10}model-{n:05}.safetensors"} for n in range(20_000)]
    with hub_of(pages=[page]) as server:
        assert len(describe(server, transport).files) == 20_000


def test_tree_whose_pages_are_too_long_together(transport, monkeypatch):
    monkeypatch.setattr("modelhub.sources.huggingface._MAX_TREE", 1000)
    pages = [[FILE | {"path": f"{n}-{m}"} for m in range(3)] for n in range(9)]
    with hub_of(pages=pages) as server, pytest.raises(SourceError, match="or 1,000 bytes"):
        describe(server, transport)
    assert len(server.seen) < 8


@pytest.mark.parametrize("name", ["local/zoo-chat", "local/x@main"])
def test_vendor_of_this_machine_is_not_asked_for(transport, name):
    with hub_of() as server:
        source = HuggingFaceSource(server.url, "", transport=transport)
        with pytest.raises(RepositoryNotFound, match="this machine") as caught:
            source.describe(ModelRef.parse(name))
    assert "path" in caught.value.hint
    assert server.seen == []


def test_too_many_entries(transport, monkeypatch):
    monkeypatch.setattr("modelhub.sources.huggingface.MAX_ENTRIES", 5)
    pages = [[FILE | {"path": f"{n}{m}"} for m in range(3)] for n in range(4)]
    with (
        hub_of(pages=pages) as server,
        pytest.raises(SourceError, match="more than 5 files and folders"),
    ):
        describe(server, transport)
    assert len([seen for seen in server.seen if "/tree/" in seen.target]) == 2


def test_a_million_entries_stop_at_the_limit(transport):
    """Of 10^6 files no more than the pages up to the limit are asked for."""
    page = [FILE | {"path": f"{n}"} for n in range(10_000)]
    pages = [[entry | {"path": f"{number}/{entry['path']}"} for entry in page] for number in range(11)]
    pages += [[]] * 89
    with hub_of(pages=pages) as server, pytest.raises(SourceError, match="more than 100,000 files"):
        describe(server, transport)
    assert len([seen for seen in server.seen if "/tree/" in seen.target]) == 11


def test_tree_that_is_too_long(transport, monkeypatch):
    monkeypatch.setattr("modelhub.sources.huggingface._MAX_PAGE", 1000)
    page = [FILE | {"path": f"{n}"} for n in range(100)]
    with hub_of(pages=[page]) as server, pytest.raises(SourceError, match="longer than the 1000 bytes"):
        describe(server, transport)


@pytest.mark.parametrize(
    "info",
    [
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        {"sha": COMMIT},
        INFO | {"sha": None},
        INFO | {"sha": "main"},
        INFO | {"sha": "../" * 13 + "x"},
        INFO | {"sha": 7},
        INFO | {"id": "../../etc"},
        INFO | {"id": "/etc"},
        INFO | {"id": "a/b/c"},
        INFO | {"id": "a/b:c"},
        INFO | {"id": "hf://a/b"},
        INFO | {"id": ""},
        INFO | {"id": None},
        INFO | {"lastModified": "yesterday"},
        INFO | {"lastModified": 7},
        b'{"sha":[' + b"[]," * 60_000 + b"1]}",
        b'{"sha":[' + b"1," * 250_000 + b"1]}",
    ],
)
def test_facts_that_are_none(transport, info):
    with hub_of(info) as server, pytest.raises(SourceError, match="unusable answer"):
        describe(server, transport)


@pytest.mark.parametrize(
    "card", [None, [], "x", {"license": ["mit"], "x": float("nan"), "tags": [1, "a"]}]
)
def test_odd_cards(transport, card):
    with hub_of(
        INFO | {"cardData": card, "tags": card, "pipeline_tag": card, "library_name": card}
    ) as server:
        listing = describe(server, transport)
    assert json.dumps(listing.model_dump(mode="json"), allow_nan=False)


def test_large_and_deep_cards(transport):
    deep = "x"
    for _ in range(300):
        deep = [deep]
    card = {
        "license": "mit",
        "big": "y" * 500_000,
        "deep": deep,
        "model-index": [{"name": "x", "results": []}],
    }
    with hub_of(INFO | {"cardData": card}) as server:
        listing = describe(server, transport)
    assert listing.card["license"] == "mit"
    assert not {"big", "deep", "model-index", "eval_results"} & listing.card.keys()


def test_hub_that_repeats_the_token(transport, caplog):
    def echo(seen):
        said = seen.headers.get("authorization", "")
        return Reply(
            403,
            {"X-Error-Message": said, "Content-Type": "application/json"},
            json.dumps({"error": said}).encode(),
        )

    with origin(echo) as server, pytest.raises(ModelHubError) as caught:
        describe(server, transport, TOKEN)
    assert "***" in str(caught.value)
    assert TOKEN not in str(caught.value) + caplog.text
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("status", "headers", "token", "kind"),
    [
        (401, {}, "", RepositoryNotFound),
        (401, {}, TOKEN, "access_denied"),
        (
            401,
            {"X-Error-Message": "Invalid credentials in Authorization header"},
            TOKEN,
            "access_denied",
        ),
        (403, {}, "", "access_denied"),
        (403, {"X-Error-Message": "Access to this resource is disabled."}, "", "access_denied"),
        (403, {"X-Error-Code": "GatedRepo"}, "", GatedRepository),
        (404, {}, "", RepositoryNotFound),
        (404, {"X-Error-Code": "RepoNotFound"}, "", RepositoryNotFound),
        (418, {}, "", "source_error"),
    ],
)
def test_refusals(transport, status, headers, token, kind):
    for only in ("", "/tree/"):

        def answer(seen, only=only):
            return Reply(status, headers, b"no") if only in seen.target else as_json(INFO)

        with origin(answer) as server, pytest.raises(ModelHubError) as caught:
            describe(server, transport, token)
        assert (caught.value.code == kind) if isinstance(kind, str) else isinstance(caught.value, kind)
        assert caught.value.hint


def test_ref_names():
    refs = {
        "branches": [{"name": "main"}, {"name": 7}, "x"],
        "tags": [{"name": "v1"}, {"name": "a\nb"}],
        "converts": 3,
    }
    assert tree.ref_names(refs) == ("main", "v1")
    assert tree.ref_names([]) == tree.ref_names({"branches": "x"}) == ()
