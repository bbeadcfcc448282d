"""A store with a quota: what was used longest ago makes room, nothing that is held, and never a record."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from modelhub.errors import InvalidInput, StoreFull
from modelhub.hub.quota import choose
from modelhub.refs import Digest
from modelhub.registry import Evictable
from modelhub.registry.tables import ArtifactLocationRow
from modelhub.settings import Settings

from .conftest import MODEL
from .test_gc_races import audit
from .test_purge import Q8, TWIN, blobs, digests, folders, twin

__all__ = ["twin"]  # a fixture


def sizes(hub, *models):
    """What these take, without sharing."""
    return [sum(file.size for file in hub.pull(model).files) for model in models]


@pytest.fixture
def total(make_hub, tmp_path):
    """The bytes of both variants of the model."""
    other = make_hub(home=tmp_path / "measured")
    return sum(sizes(other, f"{MODEL}:q8_0", f"{MODEL}:q4_0"))


def age(hub):
    """As if all that is here had been used long ago."""
    with hub._registry.begin() as tx:
        long_ago = datetime(2026, 1, 1, tzinfo=UTC)
        tx.session.execute(update(ArtifactLocationRow).values(last_accessed_at=long_ago))


def test_without_a_quota_everything_comes(hub):
    assert hub.settings.store_quota is None
    hub.pull(f"{MODEL}:q8_0")
    assert hub.store.usage().quota is None


def test_what_was_used_longest_ago_makes_room_and_comes_again(
    make_hub, database_url, server, zoo_gguf, tmp_path, total, caplog
):
    caplog.set_level("INFO", "modelhub")
    import shutil

    older = tmp_path / "older"
    older.mkdir()
    (older / "big-q8_0.gguf").write_bytes((zoo_gguf / Q8).read_bytes() + b"\0" * 4096)
    shutil.copy(zoo_gguf / "README.md", older)
    server.add("other/older", older)
    hub = make_hub(database=database_url, store_quota=total + 100_000)
    before = hub.pull("other/older:q8_0")
    age(hub)
    now = hub.pull(f"{MODEL}:q8_0")
    usage = hub.store.usage()
    assert usage.bytes <= usage.quota == total + 100_000
    assert not before.path.exists()
    assert folders(hub) == [tuple(MODEL.split("/"))]
    assert set(digests(now).values()) <= blobs(hub)
    assert digests(before)["big-q8_0.gguf"] not in blobs(hub)
    (event,) = [record for record in caplog.records if record.message == "repo_evicted"]
    assert (event.model_repo_name, event.files) == ("other/older", 1)
    assert {record.repo.id for record in hub.repos()} == {MODEL, "other/older"}
    age(hub)
    assert hub.pull("other/older:q8_0").fetched_bytes > 0
    assert hub.verify("other/older").ok
    audit(hub)


def test_what_is_loaded_is_never_evicted(make_hub, database_url, twin, total):
    hub = make_hub(database=database_url, store_quota=total - 100_000)
    hub.chat(f"{MODEL}:q8_0", "x", runtime="echo")
    age(hub)
    before = blobs(hub)
    with pytest.raises(
        StoreFull, match=r"of its quota of .* 0 B of that could go: .* are missing"
    ) as caught:
        make_hub(database=database_url, store_quota=total - 100_000).pull(f"{MODEL}:q4_0")
    assert caught.value.details["evictable"] == 0
    assert set(before) <= blobs(hub)
    assert hub.verify(MODEL).ok


def test_what_is_pinned_is_never_evicted(make_hub, database_url, total):
    hub = make_hub(database=database_url)
    hub.pull(f"{MODEL}:q8_0")
    assert hub.pin(MODEL).pinned
    assert f"{MODEL} (pinned)" in str(hub.store.usage())
    before, full = blobs(hub), make_hub(database=database_url, store_quota=total - 100_000)
    with pytest.raises(StoreFull):
        full.pull(f"{MODEL}:q4_0")
    assert before <= blobs(hub)
    assert not full.unpin(MODEL).pinned
    assert full.pull(f"{MODEL}:q4_0").fetched_bytes > 0
    assert not before <= blobs(hub)


def test_what_can_never_fit_evicts_nothing(make_hub, database_url, twin):
    free = make_hub(database=database_url)
    free.pull(f"{MODEL}:q8_0")
    before = blobs(free)
    hub = make_hub(database=database_url, store_quota="100KB")
    with pytest.raises(StoreFull, match="quota of 100 kB"):
        hub.pull(f"{MODEL}:q4_0")
    assert before <= blobs(hub)
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes == 0  # what is here may be used


def test_a_shared_file_stays_as_long_as_one_has_it(make_hub, database_url, twin):
    hub = make_hub(database=database_url)
    shared = digests(hub.pull(f"{MODEL}:q8_0"))[Q8]
    hub.pull(f"{twin}:q8_0")
    place = hub.store._collector.place
    with hub._registry.read() as tx:
        names = {one.name: one.repo for one in tx.evictions.candidates(place)}
    assert set(names) == {MODEL, TWIN}
    with hub._registry.begin() as tx:
        paths, files = tx.evictions.evict(names[MODEL], place)
    assert (len(paths), files) == (1, ())
    with hub._registry.begin() as tx:
        assert tx.evictions.evict(names[TWIN], place)[1] == (shared,)
        assert tx.evictions.evict(names[TWIN], place) == ((), ())


def test_quotas_are_sizes():
    assert Settings(store_quota="200GB").store_quota == 200 * 10**9
    assert Settings.from_env({"MODELHUB_STORE_QUOTA": "1GiB"}).store_quota == 1 << 30
    for wrong in ("much", 0, -1):
        with pytest.raises(InvalidInput, match="store_quota"):
            Settings(store_quota=wrong)


FILES = [Digest(f"{number:064x}") for number in range(8)]
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@given(
    st.lists(st.dictionaries(st.sampled_from(FILES), st.just(10), min_size=1), max_size=6),
    st.sets(st.sampled_from(FILES)),
    st.integers(1, 100),
    st.integers(0, 50),
)
def test_what_is_chosen_frees_enough_and_no_more_than_it_must(files, held, excess, spare):
    candidates = [Evictable(n, f"r/{n}", each, MOMENT) for n, each in enumerate(files, 1)]
    users = {one: {c.repo for c in candidates if one in c.files} for one in FILES}
    for one in held:
        users[one].add(0)
    chosen, freed = choose(candidates, users, excess, excess + spare)
    assert chosen == candidates[: len(chosen)]
    gone = {one.repo for one in chosen}
    if chosen:
        assert freed == sum(10 for one in FILES if users[one] and users[one] <= gone) >= excess
    else:
        assert freed < excess
