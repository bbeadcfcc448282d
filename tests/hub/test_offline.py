"""An offline Hub opens no socket, whatever is called: every socket is refused, and every method is tried."""

import inspect
import sys
from collections.abc import Callable, Iterator

import pytest

from modelhub import Hub
from modelhub.errors import Offline, RepositoryNotFound, RevisionNotFound
from modelhub.tasks import chat_request
from tests.zoo.repos import build_embed_gguf

from .conftest import MODEL

CHAT = f"{MODEL}:q8_0"
EMBED = "zoo/tiny-embed-GGUF"
NETWORK = (
    "socket.connect",
    "socket.sendto",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.bind",
)

Call = Callable[[Hub], object]


class Watch:
    """Refuses, while it is on, whatever Python does on a network; an audit hook cannot be taken away."""

    def __init__(self) -> None:
        self.on = False
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        # An address of two parts or more is one of a network; that of a Unix socket is a path.
        if self.on and event in NETWORK and not (len(args) > 1 and isinstance(args[1], str | bytes)):
            raise AssertionError(f"{event} with {args[1:]}")


_watch = Watch()


@pytest.fixture
def no_network() -> Iterator[None]:
    _watch.on = True
    yield
    _watch.on = False


@pytest.fixture
def home(make_hub, server, tmp_path):
    """What an online Hub has left: both models, whole."""
    server.add(EMBED, build_embed_gguf(tmp_path / "tiny-embed-GGUF"))
    with make_hub() as online:
        online.pull(CHAT)
        online.pull(EMBED)


def streamed(hub: Hub) -> object:
    with hub.stream("chat", CHAT, chat_request("Hello", max_tokens=2)) as stream:
        return list(stream)


WORKS: dict[str, Call] = {
    "chat": lambda hub: hub.chat(CHAT, "Hello", max_tokens=2),
    "devices": lambda hub: hub.devices(),
    "doctor": lambda hub: hub.doctor(),
    "embed": lambda hub: hub.embed(EMBED, "a text"),
    "export_hf_cache": lambda hub: hub.export_hf_cache(CHAT, hub.settings.home / "hf"),
    "adopt_hf_cache": lambda hub: hub.adopt_hf_cache(hub.settings.home / "hf"),
    "files": lambda hub: hub.files(MODEL),
    "inspect": lambda hub: hub.inspect(MODEL),
    "models": lambda hub: hub.models("chat"),
    "pin": lambda hub: hub.pin(MODEL),
    "unpin": lambda hub: hub.unpin(MODEL),
    "plan": lambda hub: hub.plan(MODEL, task="chat"),
    "pull": lambda hub: hub.pull(CHAT),
    "register": lambda hub: hub.register("other/model", preferred_precision="q8_0"),
    "repos": lambda hub: hub.repos(),
    "revisions": lambda hub: hub.revisions(MODEL),
    "revoke_code": lambda hub: hub.revoke_code(MODEL),
    "run": lambda hub: hub.run("chat", CHAT, chat_request("Hello", max_tokens=2)),
    "runtimes": lambda hub: hub.runtimes(),
    "stream": streamed,
    "verify": lambda hub: hub.verify(MODEL),
    "forget": lambda hub: hub.forget(MODEL),
    "purge": lambda hub: hub.purge("other/model"),
    "close": lambda hub: hub.close(),
}
"""Every method, asked for something that is here."""

REFUSED: dict[str, Call] = {
    "sync": lambda hub: hub.sync(MODEL),
    "inspect": lambda hub: hub.inspect(MODEL, refresh=True),
    "pull": lambda hub: hub.pull(f"{MODEL}:q4_0"),
    "chat": lambda hub: hub.chat(f"{MODEL}:q4_0", "Hello"),
}
"""What is not here, of a repository that is known."""

UNKNOWN: dict[str, Call] = {
    "allow_code": lambda hub: hub.allow_code("other/unknown"),
    "chat": lambda hub: hub.chat("other/unknown", "Hello"),
    "embed": lambda hub: hub.embed("other/unknown", "Hello"),
    "files": lambda hub: hub.files("other/unknown"),
    "inspect": lambda hub: hub.inspect("other/unknown"),
    "plan": lambda hub: hub.plan("other/unknown"),
    "pull": lambda hub: hub.pull("other/unknown"),
    "revision": lambda hub: hub.inspect(f"{MODEL}@v9"),
    "sync": lambda hub: hub.sync("other/unknown"),
}


def test_the_watch_sees_what_an_online_hub_does(make_hub, server, no_network):
    with pytest.raises(AssertionError, match="socket"):
        make_hub().sync(MODEL)


def test_every_method_is_tried():
    methods = {
        name for name, value in inspect.getmembers(Hub, inspect.isfunction) if not name.startswith("_")
    }
    assert methods == WORKS.keys() | REFUSED.keys() | (UNKNOWN.keys() - {"revision"})


@pytest.mark.usefixtures("home", "no_network")
def test_what_is_here_works(make_hub, server):
    server.reset_counts()
    hub = make_hub(offline=True)
    for call in WORKS.values():
        call(hub)
    assert server.requests == []


@pytest.mark.usefixtures("home", "no_network")
def test_what_is_not_here_says_so(make_hub, server):
    server.reset_counts()
    hub = make_hub(offline=True)
    for call in REFUSED.values():
        with pytest.raises(Offline):
            call(hub)
    for call in UNKNOWN.values():
        with pytest.raises((RepositoryNotFound, RevisionNotFound), match=r"offline|is not known here"):
            call(hub)
    assert server.requests == []
