"""`modelhub search`: tables on standard output, the next page's beginning beside them."""

import json

import pytest

from modelhub.cli import render
from modelhub.facts import ModelEntry, ModelPage
from tests.cli.conftest import MODEL
from tests.zoo.repos import build_chat_gguf


@pytest.fixture(autouse=True)
def synced(run):
    assert run("sync", MODEL)[0] == 0


def test_filters_reach_the_hub(run):
    status, out, err = run(
        *("search", "tiny", "--task", "chat", "--vendor", "zoo", "--format", "gguf"),
        *("--precision", "q4_0", "--license", "apache-2.0", "--min-bytes", "1kB", "--max-bytes", "8GB"),
    )
    assert (status, err) == (0, "")
    assert out.splitlines()[1].startswith(MODEL)
    assert run("search", "--max-bytes", "10B") == (0, "", "none\n")


def test_as_json(run):
    status, out, _ = run("search", "--json")
    page = ModelPage.model_validate(json.loads(out))
    assert (status, page.next) == (0, None)
    assert MODEL in [entry.repo for entry in page]
    assert json.loads(run("search", "nothing", "--json")[1]) == {"models": [], "next": None}


def test_a_page_that_is_not_the_last_says_where_the_next_begins(run, twin):
    status, out, err = run("search", "--limit", "1")
    assert (status, len(out.splitlines())) == (0, 2)
    option, after = err.removeprefix("more: ").split()
    status, second, err = run("search", "--limit", "1", option, after)
    assert (status, err) == (0, "")
    assert second.splitlines()[1] != out.splitlines()[1]


@pytest.fixture
def twin(run, tmp_path):
    """The same in a folder, so that there are two."""
    assert run("sync", str(build_chat_gguf(tmp_path / "twin")))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--task", "chatting"), 1, "unknown task"),
        (("--max-bytes", "huge"), 1, "8GB"),
        (("--after", "nonsense"), 1, "`next`"),
        (("--limit", "0"), 2, "Usage"),
        (("--limit", "many"), 2, "Usage"),
    ],
)
def test_bad_input(run, arguments, status, said):
    found, out, err = run("search", *arguments)
    assert (found, out) == (status, "")
    assert said in err


def test_many_precisions_stay_in_a_line(capsys):
    entry = ModelEntry(
        repo="Qwen/Qwen3-0.6B-GGUF",
        source="huggingface",
        commit="a" * 40,
        name="qwen3-0.6b",
        task="text-generation",
        formats=("gguf",),
        precisions=("fp16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q2_k"),
        parameters=596_049_920,
        smallest_bytes=300_000_000,
        largest_bytes=1_200_000_000,
    )
    render.models(ModelPage(models=(entry,)), as_json=False)
    line = capsys.readouterr().out.splitlines()[1]
    assert "300 MB – 1.2 GB" in line
    assert line.endswith("fp16, q8_0, q6_k, q5_k_m, +2")
