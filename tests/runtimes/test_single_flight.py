import gc
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from time import sleep

import pytest

from modelhub.errors import Cancelled, DeadlineExceeded, FormatError, LoadFailed
from modelhub.facts import Call
from modelhub.runtimes.single_flight import SingleFlight

LIVENESS = 10.0


class Crowd:
    """Several threads that ask for one key while the first of them makes it."""

    def __init__(self, pool: ThreadPoolExecutor, flights: SingleFlight[str, object]) -> None:
        self.pool, self.flights = pool, flights
        self.go = threading.Event()
        self.made = 0

    def make(self, outcome: object) -> object:
        self.made += 1
        assert self.go.wait(LIVENESS)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def ask(self, outcome: object) -> "Future[object]":
        future = self.pool.submit(self.flights.get, "key", lambda: self.make(outcome))
        sleep(0.02)
        return future


@pytest.fixture
def flights() -> SingleFlight[str, object]:
    return SingleFlight()


def test_one_makes_it_for_all(flights: SingleFlight[str, object]) -> None:
    thing = object()
    with ThreadPoolExecutor(5) as pool:
        crowd = Crowd(pool, flights)
        asked = [crowd.ask(thing) for _ in range(5)]
        crowd.go.set()
        assert {id(future.result(LIVENESS)) for future in asked} == {id(thing)}
    assert crowd.made == 1
    assert flights.landed() == (thing,)
    assert flights.get("key", object) is thing


def test_keys_do_not_wait_for_each_other(flights: SingleFlight[str, object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        crowd = Crowd(pool, flights)
        asked = crowd.ask("slow")
        assert flights.get("other", lambda: "quick") == "quick"
        crowd.go.set()
        assert asked.result(LIVENESS) == "slow"


def test_a_failure_reaches_all_who_wait_and_is_forgotten(flights: SingleFlight[str, object]) -> None:
    failure = FormatError("damaged", hint="fetch again", path="x.gguf")
    with ThreadPoolExecutor(3) as pool:
        crowd = Crowd(pool, flights)
        asked = [crowd.ask(failure) for _ in range(3)]
        crowd.go.set()
        errors = [future.exception(LIVENESS) for future in asked]
    assert crowd.made == 1
    assert errors[0] is failure
    for error in errors[1:]:
        assert isinstance(error, FormatError)
        assert error is not failure
        assert error.to_dict() == failure.to_dict()
        assert error.__cause__ is failure
    assert flights.landed() == ()
    assert flights.get("key", lambda: "now") == "now"


def test_a_failure_that_is_not_ours_is_wrapped_for_those_who_wait(
    flights: SingleFlight[str, object],
) -> None:
    with ThreadPoolExecutor(2) as pool:
        crowd = Crowd(pool, flights)
        first, second = crowd.ask(OSError("disk")), crowd.ask(None)
        crowd.go.set()
        assert isinstance(first.exception(LIVENESS), OSError)
        error = second.exception(LIVENESS)
    assert isinstance(error, LoadFailed)
    assert "disk" in str(error)


@pytest.mark.parametrize("reason", [Cancelled("no"), DeadlineExceeded("late"), KeyboardInterrupt()])
def test_when_the_maker_gives_up_another_takes_over(
    flights: SingleFlight[str, object], reason: BaseException
) -> None:
    with ThreadPoolExecutor(3) as pool:
        crowd = Crowd(pool, flights)
        first = crowd.ask(reason)
        others = [crowd.ask("made"), crowd.ask("made")]
        crowd.go.set()
        assert [future.result(LIVENESS) for future in others] == ["made", "made"]
        assert type(first.exception(LIVENESS)) is type(reason)
    assert crowd.made == 2


def test_who_waits_may_give_up(flights: SingleFlight[str, object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        crowd = Crowd(pool, flights)
        asked = crowd.ask("made")
        with pytest.raises(DeadlineExceeded):
            flights.get("key", object, Call(timeout=0.05).check)
        crowd.go.set()
        assert asked.result(LIVENESS) == "made"


def test_a_failed_load_keeps_no_half_loaded_model(flights: SingleFlight[str, object]) -> None:
    class Weights:
        pass

    seen = []

    def read(weights: Weights) -> None:
        raise OSError("disk")

    def load() -> object:
        weights = Weights()
        seen.append(weakref.ref(weights))
        try:
            read(weights)
        except OSError as error:
            raise LoadFailed("no") from error
        return weights

    with pytest.raises(LoadFailed) as caught:
        flights.get("key", load)
    gc.collect()
    assert seen[0]() is None
    assert caught.value.__traceback__ is not None


def test_take_all_waits_for_what_is_being_made(flights: SingleFlight[str, object]) -> None:
    flights.get("there", lambda: "there")
    with ThreadPoolExecutor(3) as pool:
        crowd = Crowd(pool, flights)
        asked = crowd.ask("late")
        taken = pool.submit(lambda: list(flights.take_all()))
        sleep(0.02)
        assert not taken.done()
        crowd.go.set()
        assert set(taken.result(LIVENESS)) == {"there", "late"}
        assert asked.result(LIVENESS) == "late"
    assert flights.landed() == ()


def test_take_all_leaves_out_what_fails(flights: SingleFlight[str, object]) -> None:
    with ThreadPoolExecutor(2) as pool:
        crowd = Crowd(pool, flights)
        asked = crowd.ask(LoadFailed("no"))
        taken = pool.submit(lambda: list(flights.take_all()))
        sleep(0.02)
        crowd.go.set()
        assert taken.result(LIVENESS) == []
        assert isinstance(asked.exception(LIVENESS), LoadFailed)
