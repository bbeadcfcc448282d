"""One server and one Hub for all repositories, and the table of what they came to."""

from collections.abc import Iterator

import pytest

from modelhub import Hub
from modelhub.settings import Settings
from tests.zoo.hub_server import HubServer

from .table import Outcome, lines

TOKEN = "hf_of_who_was_let_in"
OUTCOMES = pytest.StashKey[dict[str, Outcome]]()


@pytest.fixture(scope="session")
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        yield running


@pytest.fixture(scope="session")
def hub(server: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home = tmp_path_factory.mktemp("repos")
    settings = Settings.from_env({}, home=home, hf_endpoint=server.endpoint, hf_token=TOKEN)
    with Hub(settings, progress=False) as opened:
        yield opened


@pytest.fixture(scope="session")
def outcomes(pytestconfig: pytest.Config) -> dict[str, Outcome]:
    """What was found of each repository so far, by its name."""
    return pytestconfig.stash.setdefault(OUTCOMES, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if found := config.stash.get(OUTCOMES, {}):
        terminalreporter.section("real repositories")
        for line in lines(found.values()):
            terminalreporter.write_line(line)
