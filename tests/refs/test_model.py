import copy
import os
import pickle
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelhub.errors import InvalidReference
from modelhub.refs import ModelRef

ALNUM = "abcXYZ019_"
PARTS = st.from_regex(rf"[{ALNUM}]([{ALNUM}]|[.-](?=[{ALNUM}])){{0,30}}", fullmatch=True).filter(
    lambda part: not part.lower().endswith(".git")
)
SOURCES = st.from_regex(r"[a-z][a-z0-9+.-]{1,10}", fullmatch=True).filter(
    lambda source: source != "file"
)
REVISIONS = st.lists(
    st.from_regex(r"[A-Za-z0-9_+]([A-Za-z0-9_+-]|\.(?=[A-Za-z0-9])){0,12}", fullmatch=True),
    min_size=1,
    max_size=3,
).map("/".join)
TAGS = st.from_regex(r"[A-Za-z0-9_.+-]{1,20}", fullmatch=True)
REFERENCES = st.builds(
    ModelRef,
    name=PARTS,
    vendor=st.none() | PARTS,
    source=st.none() | SOURCES,
    revision=st.none() | REVISIONS,
    tags=st.lists(TAGS.map(str.lower), max_size=3).map(tuple),
)


@settings(deadline=None)
@given(REFERENCES)
def test_what_is_printed_parses_to_the_same(ref):
    assert ModelRef.parse(str(ref)) == ref
    assert ModelRef.parse(ref) is ref
    assert ModelRef.parse(str(ref.without_tags())) == ModelRef(
        ref.name, ref.vendor, ref.source, ref.revision
    )


def refusal(text: str) -> InvalidReference | None:
    try:
        ModelRef.parse(text)
    except InvalidReference as error:
        return error
    return None


@settings(deadline=None, max_examples=400)
@given(
    st.text(max_size=40)
    | st.text("ab/:@.-~_\\ \0é🙂", max_size=12)
    | st.text("file:/%?#ab0", max_size=20)
)
@example("~nobody-of-this-name/model")
@example("file://[/x")
@example("file:///a%00b")
@example("/\udcff")
@example("name\n")
@example("ｎame")
def test_any_text_parses_and_prints_or_is_refused_at_a_place(text):
    error = refusal(text)
    if error:
        assert 0 <= error.details.get("position", 0) <= len(text)
        assert error.details["field"] == "model"
        assert error.hint
        return
    ref = ModelRef.parse(text)
    assert ModelRef.parse(str(ref)) == ref
    assert ref.is_local == (ref.path is not None)
    assert ref.name not in ("", ".", "..")
    assert "/" not in ref.name


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("gpt2", ModelRef("gpt2")),
        ("Qwen/Qwen3-0.6B-GGUF", ModelRef("Qwen3-0.6B-GGUF", "Qwen")),
        ("Qwen/Qwen3-0.6B-GGUF:Q4_K_M", ModelRef("Qwen3-0.6B-GGUF", "Qwen", tags=("q4_k_m",))),
        ("whisper.cpp:tiny:q5_1", ModelRef("whisper.cpp", tags=("tiny", "q5_1"))),
        ("hf://a/b@refs/pr/1:x", ModelRef("b", "a", "hf", "refs/pr/1", ("x",))),
        ("modelscope://a/b", ModelRef("b", "a", "modelscope")),
        ("a/b@v1.0+cpu", ModelRef("b", "a", revision="v1.0+cpu")),
        ("a/b.gitx", ModelRef("b.gitx", "a")),
        ("x" * 96, ModelRef("x" * 96)),
    ],
)
def test_references(text, ref):
    assert ModelRef.parse(text) == ref


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("", 0, "expected a name, found the end"),
        (" gpt2", 0, "expected a name, found ' '"),
        ("a b", 1, "unexpected ' '"),
        ("a/b/c", 3, "unexpected '/'"),
        ("a//b", 2, "expected a name, found '/'"),
        ("a/", 2, "found the end"),
        ("q:", 2, "expected a tag"),
        ("q::x", 2, "expected a tag"),
        ("x@", 2, "expected a revision"),
        ("x@a..b", 2, "cannot be a revision"),
        ("x@/a", 2, "cannot be a revision"),
        ("x@-a", 2, "cannot be a revision"),
        ("x@" + "a" * 256, 2, "cannot be a revision"),
        ("x:tag@main", 5, "unexpected '@'"),
        ("-x", 0, "starts or ends"),
        ("x-", 0, "starts or ends"),
        ("a/x.", 2, "starts or ends"),
        ("a--b", 0, "'--'"),
        ("a/b..c", 2, "'..'"),
        ("a/b.GIT", 2, "'.git'"),
        ("x" * 97, 0, "longer than 96"),
        ("HF://a/b", 3, "expected a tag"),
        ("hf:///b", 5, "expected a name"),
        ("modèle", 3, "unexpected 'è'"),
        ("a/b\x00", 3, "unexpected '\\x00'"),
        ("q" * 90 + "!", 90, "unexpected '!'"),
    ],
)
def test_a_malformed_reference_gets_a_caret_at_the_place(text, place, problem):
    with pytest.raises(InvalidReference) as caught:
        ModelRef.parse(text)
    assert problem in caught.value.message
    assert caught.value.details["position"] == place
    _, window, caret = caught.value.message.splitlines()
    column = caret.index("^")
    expected = text[place : place + 1] or ""
    assert window[column : column + 1] == (
        expected if expected.isprintable() else "\N{REPLACEMENT CHARACTER}"
    )


@pytest.mark.parametrize("other", [None, 7, b"a/b", ["a"]])
def test_what_is_no_text_is_refused(other):
    with pytest.raises(InvalidReference, match=type(other).__name__):
        ModelRef.parse(other)


@pytest.mark.parametrize(
    ("given", "path", "name"),
    [
        ("/models/Llama:q4", "/models/Llama:q4", "Llama:q4"),
        ("./m.gguf", "./m.gguf", "m.gguf"),
        ("../up", "../up", "up"),
        (".", ".", "root"),
        ("..", "..", "root"),
        ("/", "/", "root"),
        ("C:\\models\\x", "C:\\models\\x", None),
        ("c://models/x", "c://models/x", "x"),
        ("file:///models/a%20b", "/models/a b", "a b"),
        ("file://localhost/models/x", "/models/x", "x"),
        (Path("models/x"), "./models/x", "x"),
        (PurePosixPath("/models/x"), "/models/x", "x"),
        (Path("x:y"), "./x:y", "x:y"),
    ],
)
def test_folders_and_files(given, path, name):
    ref = ModelRef.parse(given)
    assert ref.is_local
    assert ref.path == path
    assert str(ref) == path
    assert ref.tags == ()
    assert name in (None, ref.name)


def test_a_home_folder_is_filled_in(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert ModelRef.parse("~/models/x").path == "/home/someone/models/x"


def test_a_path_of_bytes_is_a_path():
    class BytesPath:
        def __fspath__(self):
            return os.fsencode("/models/x")

    assert ModelRef.parse(BytesPath()).path == "/models/x"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file://server/share", "another machine"),
        ("file://server", "another machine"),
        ("file://", "no path"),
        ("file:///a?b", "do not belong"),
        ("file:///a#b", "do not belong"),
        ("file:///a%00", "NUL"),
        ("/a\0b", "NUL"),
        ("~nobody-of-this-name/x", "home folder"),
    ],
)
def test_paths_that_cannot_be(text, problem):
    with pytest.raises(InvalidReference, match=problem):
        ModelRef.parse(text)


def test_a_reference_is_a_value():
    ref = ModelRef.parse("hf://a/b@main:x")
    assert pickle.loads(pickle.dumps(ref)) == ref == copy.deepcopy(ref)
    assert len({ref, ModelRef.parse("hf://a/b@main:X")}) == 1
    assert ref.id == "a/b"
    assert ModelRef("gpt2").id == "gpt2"
    with pytest.raises(AttributeError):
        ref.name = "c"
