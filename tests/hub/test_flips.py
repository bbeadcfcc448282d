"""Bits that flip between uses, in blobs, snapshots and proofs: nothing wrong is ever given out."""

import random

import pytest
from sqlalchemy import text

from tests.store.hands import flip

from .conftest import MODEL
from .test_purge import store, twin

__all__ = ["twin"]  # a fixture


@pytest.fixture
def hub(make_hub, database_url):
    """On either database."""
    return make_hub(database=database_url)


def files(hub, *patterns):
    found = {path for pattern in patterns for path in store(hub).glob(pattern)}
    return sorted(path for path in found if path.is_file() and path.stat().st_size)


def in_a_blob(hub, dice):
    return spoil(files(hub, "blobs/*/*/*"), dice)


def in_a_snapshot(hub, dice):
    """A hard link of the blob, or a copy."""
    return spoil([path for path in files(hub, "snapshots/**/*") if not path.is_symlink()], dice)


def in_the_proofs(hub, dice):
    """A number of each proof: it is no proof then, and no damage either."""
    column = dice.choice(["size", "mtime_ns", "ctime_ns", "recorded_ns"])
    with hub._registry.begin() as tx:
        tx.session.execute(text(f"UPDATE artifact_proof SET {column} = {column} + 1"))
    return 1


def spoil(paths, dice):
    if not paths:
        return 0
    path = dice.choice(paths)
    flip(path, dice.randrange(path.stat().st_size))
    return 1


PLACES = (in_a_blob, in_a_snapshot, in_the_proofs)


@pytest.mark.soak
def test_nothing_wrong_is_given_out_whatever_flips(
    hub, twin, server, zoo_gguf, tmp_path, rounds, tally, caplog
):
    caplog.set_level("INFO", "modelhub")
    origins = {MODEL: zoo_gguf, twin: tmp_path / "twin"}
    seed = random.randrange(1 << 32)
    print("seed", seed)  # noqa: T201 - shown by a failure
    dice = random.Random(seed)
    for model in origins:
        hub.pull(f"{model}:q8_0")
    for _ in range(rounds(20, 200)):
        tally(rounds=1, injected=dice.choice(PLACES)(hub, dice))
        for model, origin in origins.items():
            pulled = hub.pull(f"{model}:q8_0")
            for file in pulled.files:
                served = (pulled.path / file.path).read_bytes()
                tally(wrong=served != (origin / file.path).read_bytes())
            assert hub.verify(model).ok
        tally(
            detected=len([one for one in caplog.records if one.message == "artifact_damaged"]),
            repaired=len([one for one in caplog.records if one.message == "artifact_repaired"]),
        )
        caplog.clear()
        assert not tally.counts["wrong"], f"seed {seed}"
    assert tally.counts["detected"] == tally.counts["repaired"] > 0
    done = hub.store.gc(grace=0, orphans=0, parts=0, quarantine=0)
    assert done.missing == ()
    assert list((store(hub) / "quarantine").iterdir()) == []
