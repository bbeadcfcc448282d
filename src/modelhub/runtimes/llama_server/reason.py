"""Why the engine would not load a model.

It only tells its log, which goes to the process's standard error. So the load is tried again in a
process of its own, whose standard error is ours to read: `python -m …reason SETTINGS`.
"""

import json
import re
import subprocess
import sys
from dataclasses import asdict

from modelhub.runtimes.hosts.environment import child_environment
from modelhub.runtimes.llama_server.folder import SocketFolder
from modelhub.runtimes.llama_server.server import EngineSettings, start_server

_ERRORS_ONLY = 1
_PATIENCE = 30.0
_LONGEST = 300
_ERROR_LINE = re.compile(r"^\S+ E (.*)$", re.MULTILINE)
_SAYS_WHY = re.compile(r"error loading model: (.*)|^\s*\w*: (failed .*)")


def ask_why(settings: EngineSettings) -> str:
    """The engine's own words on a load that failed; empty when it has none, or loads this time."""
    command = [sys.executable, "-m", __name__, json.dumps(asdict(settings))]
    try:
        done = subprocess.run(
            command,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it does not say why ({type(error).__name__} when asked)"
    return read_reason(done.stderr.decode(errors="replace"))


def read_reason(log: str) -> str:
    """The most telling error in the engine's log."""
    lines = _ERROR_LINE.findall(log)
    said = [match for line in lines if (match := _SAYS_WHY.search(line))]
    if said:
        return (said[0][1] or said[0][2] or "").strip()[:_LONGEST]
    return lines[0].strip()[:_LONGEST] if lines else ""


def main(settings: str) -> None:
    """Try the load, with the engine's errors on standard error."""
    folder = SocketFolder()
    try:
        start_server(EngineSettings(**json.loads(settings)), folder.path, _ERRORS_ONLY)
    except RuntimeError:
        sys.exit(1)
    finally:
        folder.remove()


if __name__ == "__main__":
    main(sys.argv[1])
