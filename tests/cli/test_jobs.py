"""`modelhub jobs` and `modelhub worker`."""

import json
import signal
import threading

import pytest

from tests.cli.conftest import MODEL, PATIENCE


def submitted(run, *given):
    status, out, err = run("jobs", "submit", *given, "--json")
    assert status == 0, err
    return str(json.loads(out)[0]["id"])


@pytest.fixture
def worker(start):
    process = start("worker", "--concurrency", "1")
    assert b"does sync, pull" in process.stderr.readline()
    return process


def test_work_is_handed_in_and_done_by_a_worker_of_its_own(run, worker):
    number = submitted(run, "pull", f"model={MODEL}", "variant=q4_0")
    status, out, _ = run("jobs", "watch", number, "--timeout", str(PATIENCE))
    assert status == 0
    assert f"job {number} pull: succeeded" in out.splitlines()[-1]
    done = json.loads(run("jobs", "wait", number, "--json")[1])[0]
    assert done["output"]["fetched_bytes"] > 0
    kinds = [job["kind"] for job in json.loads(run("jobs", "show", number, "--json")[1])]
    assert kinds[0] == "pull"
    assert "artifact_download" in kinds
    again = json.loads(run("jobs", "retry", number, "--json")[1])[0]
    assert run("jobs", "wait", str(again["id"]), "--timeout", str(PATIENCE))[0] == 0
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0


def test_a_failed_job_fails_its_wait(run, worker):
    number = submitted(run, "sync", "model=zoo/nothing")
    for command in ("wait", "watch"):
        status, _, err = run("jobs", command, number, "--timeout", str(PATIENCE))
        assert status == 1
        assert "nothing" in err
    worker.send_signal(signal.SIGINT)
    assert worker.wait(PATIENCE) == 0


def test_a_job_that_waits_can_be_cancelled(run):
    number = submitted(run, "verify", f"model={MODEL}")
    assert "queued" in run("jobs", "--status", "queued")[1]
    assert "cancelled" in run("jobs", "cancel", number)[1]
    assert number not in run("jobs", "list", "--status", "queued")[1].split()


@pytest.mark.parametrize(
    ("given", "status", "told"),
    [
        (("submit", "paint"), 1, "sync, pull"),
        (("submit", "pull", "what"), 2, "NAME=VALUE"),
        (("submit", "pull", "model=a/b", "what=x"), 1, "what"),
        (("list", "--status", "painted"), 2, "painted"),
    ],
)
def test_wrong_work_is_refused(run, given, status, told):
    ended, _, err = run("jobs", *given)
    assert (ended, told in err) == (status, True), err


def test_a_worker_of_unknown_kinds_does_not_begin(run):
    status, _, err = run("worker", "--kinds", "sync,paint")
    assert status == 1
    assert "paint" in err


def test_an_idle_worker_scrubs(run, start):
    assert run("pull", f"{MODEL}:q4_0")[0] == 0
    process = start(
        "worker", "--kinds", "sync", "--scrub", "--scrub-rate", "1GB/s", "--scrub-older-than", "0"
    )
    assert b"does sync and store_scrub" in process.stderr.readline()
    found = []
    for _ in range(PATIENCE * 5):
        listed = json.loads(run("jobs", "list", "--status", "succeeded", "--json")[1])
        if found := [job for job in listed if job["kind"] == "store_scrub"]:
            break
        threading.Event().wait(0.2)
    assert found[0]["output"]["checked"] > 0
    assert found[0]["output"]["complete"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def test_a_rate_that_is_none_begins_no_worker(run):
    status, _, err = run("worker", "--scrub", "--scrub-rate", "fast")
    assert status == 1
    assert "fast" in err
