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


def test_the_bare_engine_has_the_settings_that_modelhub_gives_it(chat_overhead, monkeypatch, tmp_path):
    started = []
    for module in (engine, chat_overhead):
        start = module.start_server
        monkeypatch.setattr(
            module,
            "start_server",
            lambda settings, folder, start=start: started.append(settings) or start(settings, folder),
        )
    model = write_random_gguf(tmp_path / "x.gguf", context=512)
    monkeypatch.setattr(chat_overhead, "TOKENS", 4)
    with Hub(home=tmp_path / "home") as hub, chat_overhead.bare_engine(model) as bare:
        assert chat_overhead.hub_tokens(hub, model, "x") == 4
        assert chat_overhead.bare_tokens(bare, "x") == 4
    ours, theirs = (
        {**vars_of(settings), "path": ""}
        for settings in sorted(started, key=lambda s: s.path != str(model))
    )
    assert ours == theirs


def vars_of(settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in settings.__slots__}
