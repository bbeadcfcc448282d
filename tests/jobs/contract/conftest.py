"""What jobs keep, on SQLite and on PostgreSQL: two threads do what is submitted."""

import pytest

from modelhub.jobs import Jobs, beat, engine, retries, workers
from modelhub.registry import Registry


@pytest.fixture
def registry(database_url):
    opened = Registry.open(database_url)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(beat, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(engine, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(workers, "POLL_SECONDS", 0.05)
    at_once = retries.Backoff(0.01, factor=1)
    for kind, backoff in retries.RETRIES.items():
        if backoff is not None:
            monkeypatch.setitem(retries.RETRIES, kind, at_once)


@pytest.fixture
def make_jobs(registry):
    made = []

    def make(*handlers, **given) -> Jobs:
        made.append(Jobs(registry, **given))
        made[-1].add(*handlers)
        return made[-1]

    yield make
    for each in made:
        each.close()
