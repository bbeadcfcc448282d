"""What another interpreter has of what runtimes need. It is asked, since only it can tell."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import NamedTuple

from modelhub.runtimes.hosts.environment import child_environment

MODULE = "modelhub.runtimes.asked"

PATIENCE = 60.0
"""Seconds that an interpreter has to answer for all runtimes."""


class There(NamedTuple):
    """What an interpreter says of one runtime: it is usable when nothing is missing and no problem is.

    `install` is what would mend a problem, where that is known already.
    """

    missing: tuple[str, ...] = ()
    version: str = ""
    problem: str = ""
    install: str = ""


def ask(python: str, origins: Mapping[str, str]) -> dict[str, There]:
    """What `python` says of each runtime, by name; `origins` are their entry points' values. Never raises
    for what it finds.
    """
    command = [python, "-P", "-m", MODULE, *(f"{name}={origin}" for name, origin in origins.items())]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            encoding="utf-8",
            env=child_environment(python),
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
    except OSError as error:
        return dict.fromkeys(origins, There(problem=f"cannot be run: {error.strerror}"))
    except subprocess.TimeoutExpired:
        late = There(problem=f"did not answer within {PATIENCE:.0f} seconds")
        return dict.fromkeys(origins, late)
    return dict.fromkeys(origins, _silent(python, done)) | dict(_answers(done.stdout))


def _silent(python: str, done: "subprocess.CompletedProcess[str]") -> There:
    """What to say of a runtime for which there is no answer."""
    if "No module named modelhub" in done.stderr.replace("'", ""):
        wanted = f"modelhub=={version('modelhub')}"
        return There(problem=f"does not have {wanted}", install=f"{python} -m pip install {wanted}")
    words = done.stderr.strip().rpartition("\n")[2][:300]
    return There(problem=f"ended with status {done.returncode} before it answered: {words}")


def _answers(text: str) -> Iterator[tuple[str, There]]:
    for line in text.splitlines():
        try:
            answer = json.loads(line)
            problem = f"cannot use it: {answer['problem']}" if "problem" in answer else ""
            there = There(tuple(answer.get("missing", ())), answer.get("version", ""), problem)
            yield answer["name"], there
        except (ValueError, LookupError, TypeError, AttributeError):
            return  # it is no Python that says this
