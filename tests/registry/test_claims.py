"""Claims on bytes that are fetched: one owner at a time, by the database's clock."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from modelhub.registry import FetchClaims, StoreKey
from tests.registry.samples import digest

ONE, TWO, THREE = digest("one"), digest("two"), digest("three")


@pytest.fixture
def claims(registry):
    return FetchClaims(registry, StoreKey("file:///shared", ""))


def take(claims, digests, owner, seconds=60.0, dead=()):
    return claims.take(digests, owner=owner, host=f"host-of-{owner}", seconds=seconds, dead=dead)


def test_a_batch_is_claimed_once_and_the_second_gets_the_rest(claims):
    assert take(claims, [ONE, TWO], "a") == {ONE, TWO}
    assert take(claims, [TWO, THREE], "b") == {THREE}
    assert claims.owners([ONE, TWO, THREE]) == {
        ONE: ("a", "host-of-a"),
        TWO: ("a", "host-of-a"),
        THREE: ("b", "host-of-b"),
    }


def test_the_owner_may_ask_again(claims):
    assert take(claims, [ONE], "a") == take(claims, [ONE], "a") == {ONE}


def test_what_is_released_is_free_and_others_claims_stay(claims):
    take(claims, [ONE], "a")
    claims.release([ONE], "b")
    assert take(claims, [ONE], "b") == set()
    claims.release([ONE, TWO], "a")
    assert take(claims, [ONE], "b") == {ONE}


def test_a_claim_that_is_over_is_taken_over_and_cannot_be_renewed(claims):
    take(claims, [ONE, TWO], "a", seconds=-1)
    claims.renew("a", 60)
    assert claims.owners([ONE]) == {}
    assert take(claims, [ONE], "b") == {ONE}
    claims.renew("a", 60)
    assert claims.owners([ONE, TWO]) == {ONE: ("b", "host-of-b")}


def test_renewing_moves_the_end(claims, registry):
    take(claims, [ONE], "a", seconds=60)
    claims.renew("a", 3600)
    with registry.read() as tx:
        (ends,) = tx.session.execute(text("SELECT expires_at FROM fetch_claim")).one()
    take(claims, [ONE], "a", seconds=60)
    with registry.read() as tx:
        (sooner,) = tx.session.execute(text("SELECT expires_at FROM fetch_claim")).one()
    assert sooner < ends


def test_a_dead_owner_counts_no_more(claims):
    take(claims, [ONE, TWO], "a")
    assert take(claims, [ONE, TWO], "c", dead=["b"]) == set()
    assert take(claims, [ONE, TWO], "c", dead=["a", "b"]) == {ONE, TWO}


def test_stores_are_apart(claims, registry):
    take(claims, [ONE], "a")
    other = FetchClaims(registry, StoreKey("file:///other", ""))
    assert take(other, [ONE], "b") == {ONE}
    other.release([ONE], "b")
    assert claims.owners([ONE]) == {ONE: ("a", "host-of-a")}


def test_many_at_once_share_them_out(claims):
    many = [digest(str(number)) for number in range(600)]
    with ThreadPoolExecutor(4) as pool:
        orders = [many, many[::-1], many[300:] + many[:300], many[1::2] + many[::2]]
        gained = list(pool.map(lambda job: take(claims, job[1], f"owner-{job[0]}"), enumerate(orders)))
    assert sum(map(len, gained)) == len(many)
    assert frozenset().union(*gained) == set(many)


def test_those_that_are_over_or_of_dead_owners_are_told_and_forgotten(registry, claims):
    other = FetchClaims(registry, StoreKey("file:///other", ""))
    take(claims, [ONE], "a", seconds=-1)
    take(claims, [TWO], "b")
    take(claims, [THREE], "c")
    take(other, [ONE], "a", seconds=-1)
    told = {one.digest: (one.owner, one.over) for one in claims.everything()}
    assert told == {ONE: ("a", True), TWO: ("b", False), THREE: ("c", False)}
    claims.forget({"b"})
    assert [one.digest for one in claims.everything()] == [THREE]
    assert [one.digest for one in other.everything()] == [ONE]
