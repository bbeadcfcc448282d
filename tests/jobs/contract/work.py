"""Work for the tests: what it is given, and some that is easy to watch."""

import time

from modelhub.jobs import Handler, Payload

PATIENCE = 30


class Note(Payload):
    text: str
    times: int = 1


def until(true):
    """Ask until it is true."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def stop_at_a_step(context):
    """Work that goes on until it is told to stop."""
    until(lambda: context.check() or False)


def handler(work, kind="note", **given):
    return Handler(kind, Note, work, **given)


def echo(payload, _context):
    return {"text": payload.text}


class Flaky:
    """Fails with each of `errors`, one after another, then succeeds."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.attempts = []

    def __call__(self, payload, context):
        self.attempts.append(context.job.attempt)
        if self.errors:
            raise self.errors.pop(0)
        return {"text": payload.text}
