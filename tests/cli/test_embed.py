"""`modelhub embed`: texts as arguments or lines, a vector a line, and how it fails."""

import io
import json
import sys

import numpy as np
import pytest

from tests.cli.conftest import MODEL as CHAT
from tests.cli.conftest import PATIENCE
from tests.zoo.embed_oracle import Oracle
from tests.zoo.embed_texts import embed_texts
from tests.zoo.hub_server import HubServer
from tests.zoo.repos import build_chat_gguf, build_embed, build_embed_gguf

pytest.importorskip("xllamacpp", reason="the llama-server extra is not installed")

EMBED, TORCH = "zoo/tiny-embed-GGUF", "zoo/tiny-embed"
MODEL = f"{EMBED}:f32"
TEXTS = embed_texts()[:3]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("zoo")
    repos = {
        EMBED: build_embed_gguf(root / "gguf"),
        TORCH: build_embed(root / "torch"),
        CHAT: build_chat_gguf(root / "chat"),
    }
    with HubServer(repos) as running:
        yield running


@pytest.fixture
def pipe(monkeypatch):
    """Puts bytes onto standard input."""
    return lambda data: monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")
    )


def vectors(out: str):
    """A vector a line, and nothing else."""
    return np.array([json.loads(line) for line in out.splitlines()])


def is_near(found, texts, **how) -> bool:
    expected = Oracle().vectors(texts, **how)
    return (
        found.shape == expected.shape and np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()
    )


def test_a_vector_a_line_for_each_text(run):
    status, out, _ = run("embed", MODEL, *TEXTS)
    assert status == 0
    assert is_near(vectors(out), TEXTS)


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_lines_of_standard_input(run, pipe, arguments):
    text = TEXTS[0] + "\r\n\n   \n" + TEXTS[1] + "\ncafé 🎵"
    pipe(text.encode())
    status, out, _ = run("embed", MODEL, *arguments)
    assert status == 0
    assert is_near(vectors(out), [*TEXTS[:2], "café 🎵"])


def test_a_pipe_of_a_process(start):
    process = start("embed", MODEL)
    out, _ = process.communicate("\n".join(TEXTS).encode(), timeout=PATIENCE)
    assert process.returncode == 0
    assert is_near(vectors(out.decode()), TEXTS)


def test_json_is_the_whole_result(run):
    status, out, _ = run("embed", MODEL, *TEXTS, "--json")
    assert status == 0
    result = json.loads(out)
    assert is_near(np.array(result["vectors"]), TEXTS)
    assert result["usage"]["prompt_tokens"] == sum(len(Oracle().tokens(text)) for text in TEXTS)
    assert (result["provenance"]["repo"], result["provenance"]["variant"]) == (EMBED, "fp32")


def test_vectors_as_they_are(run):
    status, out, _ = run("embed", MODEL, *TEXTS, "--no-normalize")
    assert status == 0
    assert is_near(vectors(out), TEXTS, normalize=False)
    assert is_near(vectors(run("embed", MODEL, *TEXTS, "--normalize")[1]), TEXTS)


def test_a_prompt_by_its_name(run):
    pytest.importorskip("torch", reason="no PyTorch for this Python")
    status, out, _ = run("embed", TORCH, *TEXTS, "--prompt-name", "query")
    assert status == 0
    assert is_near(vectors(out), [f"query: {text}" for text in TEXTS])


def test_a_long_text_is_refused_or_cut(run):
    long = "bread " * 127  # and two tokens at its ends
    status, out, err = run("embed", MODEL, "rain", long)
    assert (status, out) == (1, "")
    assert "error: texts.1 has 129 tokens, and the model takes 128" in err
    status, out, _ = run("embed", MODEL, "rain", long, "--truncate")
    assert status == 0
    assert is_near(vectors(out), ["rain", "bread " * 126])


@pytest.mark.parametrize("data", [b"", b"\n", b" \n\t\r\n\n"])
@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_no_text_is_an_error(run, pipe, server, data, arguments):
    server.reset_counts()
    pipe(data)
    status, out, err = run("embed", MODEL, *arguments)
    assert (status, out) == (1, "")
    assert "error: text: standard input has no line that is not empty" in err
    assert "A text a line, or texts as arguments." in err
    assert not server.requests


def test_nothing_piped_to_a_process_is_an_error(start):
    process = start("embed", MODEL)
    out, err = process.communicate(b"", timeout=PATIENCE)
    assert (process.returncode, out) == (1, b"")
    assert err.startswith(b"error: text: standard input has no line")


def test_input_that_is_no_text(run, pipe):
    pipe(b"rain\n\xff\n")
    status, out, err = run("embed", MODEL)
    assert (status, out) == (1, "")
    assert "standard input is not utf-8 text" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((MODEL, ""), "texts.0"),
        ((MODEL, "rain", "--prompt-name", "query"), "no prompt 'query'"),
        ((MODEL, "rain", "--option", "n_ctx=many"), "n_ctx"),
        ((f"{EMBED}:q2_k", "rain"), "q2_k"),
        ((CHAT, "rain"), "feature-extraction"),
    ],
)
def test_what_cannot_be_done_is_told(run, arguments, said):
    status, out, err = run("embed", *arguments)
    assert (status, out) == (1, "")
    assert err.startswith("error: ")
    assert said in err
