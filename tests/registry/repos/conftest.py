"""One server and one Hub for all repositories of a process."""

from collections.abc import Iterator

import pytest

from modelhub import Hub
from modelhub.settings import Settings
from tests.zoo.hub_server import HubServer

TOKEN = "hf_of_who_was_let_in"


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
