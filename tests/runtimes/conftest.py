from pathlib import Path

import pytest

from tests.runtimes.random_gguf import write_random_gguf

pytest.register_assert_rewrite("tests.runtimes.llama_contract")


@pytest.fixture(scope="session")
def slow_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes tens of seconds to fill its context, in answers as in prompts."""
    path = tmp_path_factory.mktemp("slow") / "slow.gguf"
    return write_random_gguf(path, context=8192, hidden=512, layers=8)
