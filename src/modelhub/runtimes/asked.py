"""Says what this interpreter has of what runtimes need: `python -m modelhub.runtimes.asked NAME=ORIGIN …`.

A line of JSON for each, as soon as it is known; `ORIGIN` is the `module:class` of its entry point. Whoever
asks is in `elsewhere.py`.
"""

import json
import os
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint
from typing import Any


def main(asked: Iterable[str]) -> None:
    """Answer for each runtime that is `asked` about."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # what a plugin prints is no answer
        for pair in asked:
            name, _, origin = pair.partition("=")
            print(json.dumps({"name": name, **_answer(name, origin)}), file=answers, flush=True)


def _answer(name: str, origin: str) -> dict[str, Any]:
    try:
        made = EntryPoint(name=name, value=origin, group="").load()
        runtime = made() if isinstance(made, type) else made
        missing = runtime.missing()
        return {"missing": missing, "version": "" if missing else runtime.version()}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's own; whoever asks hears of it
        return {"problem": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main(sys.argv[1:])
