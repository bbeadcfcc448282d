import logging
import threading
from time import monotonic, sleep

import pytest

from modelhub.errors import Cancelled, DeadlineExceeded, HubClosed
from modelhub.facts import Call
from modelhub.runtimes import gate as gate_module
from modelhub.runtimes.gate import Gate

LIVENESS = 10.0


def wait_until(true: "object", *, what: str) -> None:
    assert callable(true)
    until = monotonic() + LIVENESS
    while not true():
        assert monotonic() < until, what
        sleep(0.001)


def test_first_come_first_served_and_never_more_than_its_size() -> None:
    gate, order, most = Gate(2), [], []

    def visit(number: int) -> None:
        gate.enter(Call())
        order.append(number)
        most.append(gate.inside)
        sleep(0.002)
        gate.leave()

    for call in (Call(), Call()):
        gate.enter(call)
    threads = []
    for number in range(10):
        thread = threading.Thread(target=visit, args=(number,))
        thread.start()
        threads.append(thread)
        wait_until(lambda: gate.waiting == len(threads), what="nobody queues")
    gate.leave()
    gate.leave()
    for thread in threads:
        thread.join(LIVENESS)
    assert sorted(order) == list(range(10))
    # Two are let in at a time, so neighbours may swap between the gate and the list.
    assert all(abs(place - number) <= 1 for place, number in enumerate(order))
    assert max(most) <= 2
    assert (gate.inside, gate.waiting) == (0, 0)


def test_one_at_a_time_keeps_the_order_exactly() -> None:
    gate, order = Gate(1), []
    gate.enter(Call())

    def visit(number: int) -> None:
        gate.enter(Call())
        order.append(number)
        gate.leave()

    threads = []
    for number in range(8):
        thread = threading.Thread(target=visit, args=(number,))
        thread.start()
        threads.append(thread)
        wait_until(lambda: gate.waiting == len(threads), what="nobody queues")
    gate.leave()
    for thread in threads:
        thread.join(LIVENESS)
    assert order == list(range(8))


def test_who_gives_up_does_not_hold_up_the_others() -> None:
    gate = Gate(1)
    gate.enter(Call())
    with pytest.raises(DeadlineExceeded):
        gate.enter(Call(timeout=0.05))
    call = Call()
    threading.Timer(0.05, call.cancel).start()
    with pytest.raises(Cancelled):
        gate.enter(call)
    assert gate.waiting == 0
    gate.leave()
    gate.enter(Call(timeout=LIVENESS))


def test_a_cancelled_call_does_not_come_in_even_when_there_is_room() -> None:
    gate, call = Gate(1), Call()
    call.cancel()
    with pytest.raises(Cancelled):
        gate.enter(call)
    assert gate.inside == 0


def test_a_closed_gate_refuses_those_who_wait_and_those_who_come() -> None:
    gate, errors = Gate(1), []
    gate.enter(Call())

    def visit() -> None:
        try:
            gate.enter(Call())
        except HubClosed as error:
            errors.append(error)

    threads = [threading.Thread(target=visit) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: gate.waiting == 2, what="nobody queues")
    gate.close(lambda: HubClosed("closed"))
    for thread in threads:
        thread.join(LIVENESS)
    assert len(errors) == 2
    assert errors[0] is not errors[1]
    gate.leave()
    with pytest.raises(HubClosed):
        gate.enter(Call())


def test_a_long_wait_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gate_module, "PATIENCE", 0.0)
    gate = Gate(1)
    gate.enter(Call())
    with caplog.at_level(logging.WARNING), pytest.raises(DeadlineExceeded):
        gate.enter(Call(timeout=0.35))
    assert [record.message.split(";")[0] for record in caplog.records] == ["instance_waiting"]


def test_leaving_while_entering_in_the_same_thread() -> None:
    """As a garbage collection does that finishes an abandoned stream."""
    gate = Gate(1)
    gate.enter(Call())

    class Leaver:
        def __del__(self) -> None:
            gate.leave()

    class Collecting(Call):
        __slots__ = ("rubbish",)

        def check(self) -> None:
            self.rubbish = None  # the last reference to a Leaver goes, inside `enter`
            super().check()

    call = Collecting(timeout=LIVENESS)
    call.rubbish = Leaver()
    gate.enter(call)
    assert gate.inside == 1
