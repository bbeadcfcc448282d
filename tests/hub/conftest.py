"""A Hub over a local hub server that serves the zoo."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelhub import Hub
from modelhub.settings import Settings
from tests.zoo.hub_server import HubServer
from tests.zoo.repos import build_chat_gguf

MODEL = "zoo/tiny-chat-GGUF"

MakeHub = Callable[..., Hub]


@pytest.fixture(scope="session")
def zoo_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_chat_gguf(tmp_path_factory.mktemp("zoo") / "tiny-chat-GGUF")


@pytest.fixture
def server(zoo_gguf: Path) -> Iterator[HubServer]:
    with HubServer({MODEL: zoo_gguf}) as running:
        yield running


@pytest.fixture
def make_hub(tmp_path: Path, server: HubServer) -> Iterator[MakeHub]:
    """Hubs that share one home unless told otherwise, and reach only the local server."""
    made: list[Hub] = []

    def make(**given) -> Hub:
        given = {"home": tmp_path / "home", "hf_endpoint": server.endpoint, "hf_token": ""} | given
        made.append(Hub(Settings.from_env({}, **given), progress=False))
        return made[-1]

    yield make
    for hub in made:
        hub.close()


@pytest.fixture
def hub(make_hub: MakeHub) -> Hub:
    return make_hub()
