import copy
import ntpath
import pickle
import posixpath
import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from modelhub.errors import UnsafePath
from modelhub.refs import RepoPath, check_tree

BAD = [
    "",
    ".",
    "..",
    "/",
    "//",
    "/etc/passwd",
    "//server/share",
    "a/",
    "a//b",
    "./a",
    "a/.",
    "a/./b",
    "../a",
    "a/..",
    "a/../b",
    "a/../../b",
    "..../../a",
    "\\",
    "..\\a",
    "a\\b",
    "a\\..\\..\\b",
    "\\\\server\\share",
    "\\\\?\\C:\\a",
    "C:",
    "C:a",
    "C:/a",
    "C:\\a",
    "a/C:/b",
    "file:a",
    "a:stream",
    "a::$DATA",
    "a\0",
    "\0",
    "a\nb",
    "a\rb",
    "a\tb",
    "a\x1b[31m",
    "a\x7f",
    "a\x85b",
    "a\u2028b",
    "a\u202egpj.exe",
    "a\u2066b",
    "a\ud800",
    "a ",
    " ",
    "a /b",
    "a.",
    "a./b",
    "...",
    "a/... ",
    "CON",
    "con",
    "con.txt",
    "Con.tar.gz",
    "a/NUL",
    "nul .txt",
    "PRN.gguf",
    "aux/x",
    "COM1",
    "com9.bin",
    "LPT1.txt",
    "COM¹",
    "lpt³.x",
    "CONIN$",
    "CLOCK$",
    ".git",
    ".GIT/config",
    "a/.git/hooks/x",
    ".git /config",
    ".git./config",
    ".g\u200cit/config",
    "\ufeff.git/config",
    "GIT~1",
    "git~1/config",
    "a<b",
    "a>b",
    "a|b",
    'a"b',
    "a?",
    "*.gguf",
    "x" * 256,
    "é" * 128,
    "/".join(["x" * 100] * 11),
]


@pytest.mark.parametrize("text", BAD, ids=ascii)
def test_names_that_could_do_harm_are_refused(text):
    with pytest.raises(UnsafePath) as caught:
        RepoPath(text)
    assert caught.value.details == {"field": "path"}
    assert caught.value.hint
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("other", [None, 7, b"a"])
def test_what_is_no_text_is_refused(other):
    with pytest.raises(UnsafePath):
        RepoPath(other)


@pytest.mark.parametrize(
    "text",
    [
        "model.gguf",
        "a/b/c.json",
        ".gitattributes",
        ".gitignore",
        "x.git",
        "gitlab/ci.yml",
        "console.txt",
        "com10",
        "lpt",
        "a..b",
        "..a",
        "-rf",
        "~",
        "a b",
        "ünï/模型.bin",
        "emoji 🙂.txt",
        "$HOME",
        "%2e%2e",
        "x" * 255,
    ],
)
def test_names_that_do_none_are_taken(text):
    path = RepoPath(text)
    assert path == text
    assert isinstance(path, str)


SAFE = st.lists(
    st.text(st.characters(codec="utf-8", categories=["L", "N", "Pd", "Pc"]), min_size=1, max_size=20),
    min_size=1,
    max_size=5,
).map("/".join)
WILD = st.text(st.sampled_from("./\\:~ \0abgitCON1\u200c"), max_size=12) | st.text(max_size=30)


def accepted(text: str) -> RepoPath | None:
    try:
        return RepoPath(text)
    except UnsafePath:
        return None


@settings(deadline=None, max_examples=500)
@given(WILD)
def test_what_is_taken_stays_below_its_folder_on_every_system(text):
    path = accepted(text)
    assume(path is not None)
    assert posixpath.normpath(posixpath.join("/store/repo", path)) == f"/store/repo/{path}"
    windows = ntpath.normpath(ntpath.join("C:\\store\\repo", path))
    assert windows == "C:\\store\\repo\\" + path.replace("/", "\\")
    assert not ntpath.isabs(path)
    assert ntpath.splitdrive(path)[0] == ""
    assert RepoPath(path) == path


@settings(deadline=None)
@given(SAFE)
def test_plain_names_are_taken(text):
    plain = accepted(text)
    reserved = any(
        part.casefold()[:4].rstrip("0123456789¹²³") in ("con", "prn", "aux", "nul", "com", "lpt")
        for part in text.split("/")
    )
    assert plain == text or reserved


def test_the_parts_of_a_path():
    path = RepoPath("a/b/Model.Q4.GGUF")
    assert (path.name, path.folder, path.suffix) == ("Model.Q4.GGUF", "a/b", ".gguf")
    assert (RepoPath("README").folder, RepoPath("README").suffix) == ("", "")
    assert RepoPath(".gitattributes").suffix == ""


def test_a_path_is_a_value():
    path = RepoPath("a/b")
    for same in (pickle.loads(pickle.dumps(path)), copy.deepcopy(path)):
        assert same == path
        assert type(same) is RepoPath


def test_pydantic_fields_of_this_type_are_checked():
    class Holder(BaseModel):
        path: RepoPath

    assert type(Holder(path="a/b").path) is RepoPath
    assert Holder.model_validate_json('{"path": "a"}').path == "a"
    with pytest.raises((ValidationError, UnsafePath)):
        Holder(path="../a")


@pytest.mark.parametrize(
    "paths",
    [
        ["a", "a"],
        ["a", "A"],
        ["x/Model.gguf", "x/model.GGUF"],
        ["x/a", "X/A"],
        ["é", unicodedata.normalize("NFD", "é")],
        ["straße", "STRASSE"],
        ["a", "a/b"],
        ["a/b", "A"],
        ["a/b/c", "a/B"],
        ["ﬀ", "ff"],
    ],
)
def test_names_that_some_system_would_merge_are_refused(paths):
    for order in (paths, paths[::-1]):
        with pytest.raises(UnsafePath, match="collide"):
            check_tree(order)


def test_a_tree_without_collisions_is_taken_in_its_order():
    paths = ["b/x", "a", "b/y", "ab", "b/x.txt", "B2/x"]
    checked = check_tree(iter(paths))
    assert list(checked) == paths
    assert all(type(path) is RepoPath for path in checked)
    assert check_tree([]) == ()


def test_one_bad_name_spoils_the_tree():
    with pytest.raises(UnsafePath, match=r"'\.\./b'"):
        check_tree(["a", "../b"])


@settings(deadline=None)
@given(st.lists(st.text("aAéE\u0301/b", min_size=1, max_size=5), max_size=8))
def test_a_tree_is_taken_only_if_no_two_names_fold_to_one(paths):
    try:
        checked = check_tree(paths)
    except UnsafePath:
        return
    folded = [unicodedata.normalize("NFC", path).casefold() for path in checked]
    assert len(set(folded)) == len(folded)
    assert not any(b.startswith(f"{a}/") for a in folded for b in folded)
