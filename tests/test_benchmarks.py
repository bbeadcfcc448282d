"""What the benchmarks compare is what they say. How fast it is, they measure themselves."""

from pathlib import Path

import pytest

from modelhub import Hub
from modelhub.runtimes.llama_server import engine
from tests.runtimes.random_gguf import write_random_gguf

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def chat_overhead(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import chat_overhead

    return chat_overhead


def test_both_sides_ask_one_engine_for_the_same_number_of_tokens(chat_overhead, monkeypatch, tmp_path):
    model = write_random_gguf(tmp_path / "x.gguf", context=512)
    monkeypatch.setattr(chat_overhead, "TOKENS", 4)
    start = engine.start_server
    with chat_overhead.loaded_servers() as servers, Hub(home=tmp_path / "home") as hub:
        assert chat_overhead.hub_tokens(hub, model, "x") == 4
        assert len(servers) == 1
        assert chat_overhead.bare_tokens(servers[0], "x") == 4
        servers.clear()
    assert engine.start_server is start
