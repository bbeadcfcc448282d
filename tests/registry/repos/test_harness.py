"""That the harness refuses what is wrong in a repository's file, and serves what a file says."""

import io
from hashlib import sha256

import pytest
import yaml

from modelhub.facts import Report
from tests.zoo.hub_server.content import git_blob_sha1
from tests.zoo.hub_server.sparse import Sparse

from .asking import ask
from .case import FOLDER, Case, Expected, expand, load
from .rebuilt import Rebuilt
from .table import summary
from .test_repos import outcome, problems

SYNTHETIC = FOLDER / "zoo__synthetic-chat.yaml"
MARK = {"source": "https://example.org/tree", "seen": "2026-11-28", "says": "all of it, with sizes"}


def values(**changes):
    return {**yaml.safe_load(SYNTHETIC.read_text()), **changes}


@pytest.fixture
def subject() -> Rebuilt:
    return Rebuilt(load(SYNTHETIC))


FILES = values()["files"]
WRONG = {
    "an unknown key": {"sise": 1},
    "a mark that is not defined": {"commit_evidence": "E1"},
    "a mark that is not used": {"evidence": {"E1": MARK}},
    "a source that is no address": {
        "commit_evidence": "E1",
        "evidence": {"E1": {**MARK, "source": "the web"}},
    },
    "a path that comes twice": {"files": [FILES[0], *FILES]},
    "a file without evidence": {"files": [{"path": "config.json"}, *FILES[1:]]},
    "a document that is not listed": {
        "documents": {"x.json": {"evidence": "reconstructed", "text": ""}}
    },
    "a header that is not listed": {
        "headers": {"x.gguf": {"format": "gguf", "evidence": "reconstructed"}}
    },
    "a document of two kinds": {
        "documents": {"config.json": {"evidence": "reconstructed", "text": "", "content": {}}}
    },
    "a card without evidence": {"card_evidence": None},
    "a fact that comes twice": {"facts": values()["facts"] * 2},
    "an unknown family": {"family": "other"},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_a_file_is_refused(change):
    Case.model_validate(values())
    with pytest.raises(ValueError, match="validation error"):
        Case.model_validate(values(**change))


def test_a_key_that_comes_twice_is_refused(tmp_path):
    path = tmp_path / SYNTHETIC.name
    path.write_text(SYNTHETIC.read_text() + "repo: zoo/other\n")
    with pytest.raises(ValueError, match=r"come twice.*repo"):
        load(path)


def test_a_file_is_named_after_its_repository(tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text(SYNTHETIC.read_text())
    with pytest.raises(ValueError, match=r"call it zoo__synthetic-chat\.yaml"):
        load(path)


def test_files_are_as_large_as_they_are_listed(subject):
    for listed in subject.case.files:
        file = subject.files[listed.path]
        assert isinstance(file.source, Sparse)
        assert file.size == file.source.size
        assert listed.size in (None, file.size)


def test_tensors_that_do_not_fit_are_refused():
    small = [{**file, "size": 5000} if "safetensors" in file["path"] else file for file in FILES]
    with pytest.raises(ValueError, match="the file has 5,000"):
        _ = Rebuilt(Case.model_validate(values(files=small))).files


def test_a_document_that_is_not_rebuilt_to_the_bit_is_refused():
    files = [{"path": "config.json", "evidence": "reconstructed"}]
    for known in ("sha256:" + sha256(b"{}").hexdigest(), "git:" + git_blob_sha1(b"{}")):
        document = {"evidence": "reconstructed", "exact": known, "content": {}}
        changes = {"files": files, "headers": {}, "documents": {"config.json": document}}
        assert Rebuilt(Case.model_validate(values(**changes))).files["config.json"].size == 2
        document["content"] = {"a": 1}
        with pytest.raises(ValueError, match=known):
            _ = Rebuilt(Case.model_validate(values(**changes))).files


def test_weights_whose_header_is_read_need_one(subject):
    documents = {path: each for path, each in subject.case.documents.items() if "index" not in path}
    case = subject.case.model_copy(update={"headers": {}, "documents": documents})
    with pytest.raises(ValueError, match=r"need a header: .*\.safetensors"):
        _ = Rebuilt(case).metadata


def test_facts_that_fail_are_told_and_pending_ones_that_hold(subject):
    wrong = Expected(what="model.task", value="x", evidence="reconstructed")
    absent = Expected(what="variant[no].bytes", value=1, evidence="reconstructed")
    waiting = wrong.model_copy(update={"what": "model.category", "pending": "for another day"})
    held = wrong.model_copy(update={"value": "text-generation", "pending": "for another day"})
    case = subject.case.model_copy(update={"facts": (wrong, absent, waiting, held)})
    told = problems(case, subject.report)
    assert [each.partition(" ")[0] for each in told] == ["model.task", "variant[no].bytes", "model.task"]
    assert "take its mark `pending` away" in told[-1]


@pytest.mark.parametrize(
    "what", ["model.colour", "variant", "variant[no]", "?", "model.", "warning[no]"]
)
def test_a_path_that_leads_nowhere_is_an_error(subject, what):
    with pytest.raises(LookupError):
        ask(subject.report, f"{what}.x")


def test_one_warning_among_others_can_be_asked_for(subject):
    assert [ask(subject.report, f"warned[{code}]") for code in ("gated", "format.pickle")] == [
        True,
        False,
    ]


def test_only_evidence_counts(subject):
    case = subject.case
    assert (case.evidenced, case.evidenced_facts) == (False, [])
    text = SYNTHETIC.read_text().replace("synthetic-chat", "chat").replace("reconstructed", "E1")
    known = Case.model_validate(yaml.safe_load(text) | {"evidence": {"E1": MARK}})
    assert known.evidenced
    assert len(known.evidenced_facts) == len(known.facts)
    unsized = [{**file, "size_evidence": "reconstructed"} for file in yaml.safe_load(text)["files"]]
    guessed = Case.model_validate(yaml.safe_load(text) | {"evidence": {"E1": MARK}, "files": unsized})
    assert not guessed.evidenced
    empty = Report(repo=case.repo, source="huggingface", commit=case.commit)
    table = summary([outcome(known, subject.report, 70_000), outcome(case, empty, 5)]).splitlines()
    assert table[-3].split() == ["transformers", "2", "1", "14", "7", "7", "0", "70,000"]
    assert table[-1] == "evidenced repositories: 1; 1 of 2 ended unknown: zoo/synthetic-chat"


def test_ranges_in_names_expand():
    assert list(expand("h.{0..1}.{08..10}")) == [f"h.{n}.{m}" for n in "01" for m in ("08", "09", "10")]


def test_sparse_content_reads_as_a_file():
    content = Sparse((b"ab", 3, b"c", 1 << 40))
    stream = content.open()
    assert (stream.read(7), stream.seek(0, io.SEEK_END)) == (b"ab\0\0\0c\0", content.size)
    assert (stream.seek(-1, io.SEEK_CUR), stream.read(5)) == (content.size - 1, b"\0")
    assert content.read(1, 6) == b"b\0\0\0c"
    with pytest.raises(ValueError, match="opens as rb"):
        content.open("wb")
