"""Plans that are kept for the next call."""

from modelhub.hub import ready
from modelhub.hub.ready import ReadyPlans
from tests.hub.conftest import MODEL

REF = f"{MODEL}:q8_0"


def kept(hub):
    return list(hub._serving._ready._plans)


def how_of(asked):
    return next(part for part in asked if hasattr(part, "options"))


def test_the_plans_that_were_used_last_are_kept(hub, monkeypatch):
    monkeypatch.setattr(ready, "MOST", 2)
    for delay in (0.001, 0.002, 0.001, 0.003):
        hub.chat(REF, "x", runtime="echo", options={"delay": delay})
    assert [how_of(asked).options for asked in kept(hub)] == ['{"delay": 0.001}', '{"delay": 0.003}']


def test_a_plan_that_was_forgotten_is_made_anew(hub):
    hub.chat(REF, "x", runtime="echo")
    (plan,) = hub._serving._ready._plans.values()
    hub._serving._ready.forget(plan.target)
    assert kept(hub) == []
    assert hub.chat(REF, "x", runtime="echo").text == "x"
    assert len(kept(hub)) == 1


def test_the_plans_of_other_repositories_are_not_forgotten_with_it(hub, zoo_gguf):
    hub.chat(REF, "x", runtime="echo")
    hub.chat(next(zoo_gguf.glob("*q8_0.gguf")), "x", runtime="echo")
    first, second = hub._serving._ready._plans.values()
    hub._serving._ready.forget(first.target)
    assert list(hub._serving._ready._plans.values()) == [second]


def test_nothing_is_ready_at_first():
    assert ReadyPlans().get("x") is None
