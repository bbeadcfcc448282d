"""A server that serves other bytes than it declared: never published, and what came is kept aside."""

from hashlib import sha256
from pathlib import Path

import pytest

from modelhub.errors import IntegrityError
from modelhub.refs import Digest
from tests.hub.conftest import MODEL
from tests.zoo.hub_server import Fault

NAME = "zoo-chat-q8_0.gguf"


def other_bytes(file: Path) -> Fault:
    """The right size, and a good name for what does not have it."""
    return Fault(sha256=sha256(b"other" + file.read_bytes()).hexdigest())


POISONS = {
    "flipped at its begin": lambda file: Fault(flip=70),
    "flipped in the middle": lambda file: Fault(flip=file.stat().st_size // 2),
    "flipped at its end": lambda file: Fault(flip=file.stat().st_size - 1),
    "another hash, also as its ETag": other_bytes,
    "another size": lambda file: Fault(size=file.stat().st_size - 32),
}


@pytest.mark.parametrize("poison", POISONS)
def test_it_is_never_published(hub, server, zoo_gguf, poison):
    file = zoo_gguf / NAME
    fault = POISONS[poison](file)
    if fault.lies:
        server.faults[NAME] = fault
    with pytest.raises(IntegrityError, match=NAME):
        _sync_and_pull(hub, server, fault)
    store = hub._serving.planning.store
    for digest in (fault.sha256, Digest.of(file.read_bytes())):
        assert digest is None or not store.path(Digest(digest)).exists()
    assert not list(store.root.glob(f"snapshots/**/{NAME}"))


def _sync_and_pull(hub, server, fault: Fault) -> None:
    hub.sync(MODEL)
    server.faults[NAME] = fault
    hub.pull(f"{MODEL}:q8_0")


def test_answers_that_end_too_soon_are_gone_on_with(hub, server, zoo_gguf):
    _sync_and_pull(hub, server, Fault(truncate=(zoo_gguf / NAME).stat().st_size // 2))
    (found,) = (file for file in hub.pull(f"{MODEL}:q8_0").files if file.path == NAME)
    assert found.sha256 == Digest.of((zoo_gguf / NAME).read_bytes())


def test_what_came_is_kept_and_named(hub, server):
    hub.sync(MODEL)
    server.faults[NAME] = Fault(flip=100_000)
    with pytest.raises(IntegrityError) as caught:
        hub.pull(f"{MODEL}:q8_0")
    listed = next(each for each in hub.files(MODEL) if each.path == NAME)
    details = caught.value.details
    assert details["expected"] == listed.sha256
    assert details["actual"] != listed.sha256
    root = hub._serving.planning.store.root
    kept = [path for path in (root / "quarantine").rglob("*") if path.is_file()]
    assert Digest(str(details["actual"])) in {Digest.of(path.read_bytes()) for path in kept}
