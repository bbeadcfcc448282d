"""A licence policy: what it refuses is told by plans, and is neither fetched nor run."""

import shutil

import pytest

from modelhub.errors import InvalidInput, LicenseRefused
from tests.registry.introspect.test_license_texts import APACHE, TEXTS
from tests.zoo.repos import chat_answers

from .conftest import MODEL

WEIGHTS = ".gguf"
HEADER_BYTES = 128 * 1024
QUESTION = next(case for case in chat_answers() if len(case.messages) == 1)


def refused(hub, model, server):
    """That nothing of it is fetched or run; gives the error."""
    hub.sync(model)
    server.reset_counts()
    calls = (
        lambda: hub.pull(model),
        lambda: hub.chat(model, QUESTION.messages, temperature=0),
        lambda: next(hub.chat(model, QUESTION.messages, temperature=0, stream=True)),
        lambda: hub.chat(model, QUESTION.messages, runtime="echo"),
    )
    for call in calls:
        with pytest.raises(LicenseRefused) as caught:
            call()
    assert server.requests == []
    return caught.value


@pytest.fixture
def odd(server, zoo_gguf, tmp_path):
    """A repository whose card and header say Apache, and whose licence file says something else."""
    folder = tmp_path / "odd"
    shutil.copytree(zoo_gguf, folder)
    (folder / "LICENSE").write_text(TEXTS["cc-by-nc-4.0"])
    server.add("zoo/odd", folder)
    return "zoo/odd"


def test_what_a_policy_allows_is_fetched_and_run(make_hub, server):
    hub = make_hub(license_policy="allow:apache-2.0,mit;refuse:license.conflict,license.unknown")
    assert hub.plan(f"{MODEL}:q8_0").warnings == ()
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes > 0
    assert hub.chat(f"{MODEL}:q8_0", QUESTION.messages, temperature=0).text == QUESTION.answer


def test_what_it_does_not_allow_is_neither_fetched_nor_run(make_hub, server):
    hub = make_hub(license_policy="allow:mit")
    error = refused(hub, f"{MODEL}:q8_0", server)
    assert error.details["codes"] == ["license.not_allowed"]
    assert error.details["licenses"] == ["apache-2.0"]
    assert error.details["policy"] == "allow:mit"
    assert "apache-2.0 (card: license)" in error.message
    assert "MODELHUB_LICENSE_POLICY" in error.hint
    assert server.bytes_sent(WEIGHTS) <= HEADER_BYTES


def test_a_plan_says_that_it_is_refused_and_inspect_still_works(make_hub):
    hub = make_hub(license_policy="deny:apache-2.0")
    assert hub.inspect(MODEL).models
    plan = hub.plan(f"{MODEL}:q8_0")
    assert [warning.code for warning in plan.warnings] == ["license.refused"]
    assert "license.denied: apache-2.0" in plan.why[-1]
    assert "modelhub inspect" in plan.steps[0]
    assert "license.refused" in str(plan)


def test_a_conflict_is_shown_by_all_and_refused_by_a_policy(make_hub, server, odd):
    free = make_hub()
    assert {"license.conflict", "license.noncommercial"} <= {
        warning.code for warning in free.inspect(odd).warnings
    }
    assert free.pull(f"{odd}:q8_0").fetched_bytes > 0
    hub = make_hub(license_policy="refuse:license.conflict,license.noncommercial")
    assert hub.pull(f"{MODEL}:q4_0").fetched_bytes > 0
    error = refused(hub, f"{odd}:q8_0", server)
    assert error.details["codes"] == ["license.noncommercial", "license.conflict"]
    assert "LICENSE: text" in error.message


def test_variants_with_other_evidence_are_judged_apart(make_hub, server, zoo_gguf, tmp_path):
    folder = tmp_path / "apart"
    for name in ("q8_0", "q4_0"):
        (folder / name).mkdir(parents=True)
        shutil.copy(zoo_gguf / f"zoo-chat-{name}.gguf", folder / name)
    (folder / "q8_0" / "LICENSE").write_text(TEXTS["agpl-3.0"])
    (folder / "LICENSE").write_text(APACHE)
    server.add("zoo/apart", folder)
    hub = make_hub(license_policy="refuse:license.copyleft")
    assert hub.pull("zoo/apart:q4_0").fetched_bytes > 0
    with pytest.raises(LicenseRefused) as caught:
        hub.pull("zoo/apart:q8_0")
    assert caught.value.hint == "Its licence is another for: q4_0."


def test_a_policy_that_cannot_be_is_refused_before_anything_is_done(make_hub):
    with pytest.raises(InvalidInput, match="license_policy") as caught:
        make_hub(license_policy="refuse:everything")
    assert caught.value.details["field"] == "license_policy"
