"""Everything that is run on modelhub, one session each: `python -m nox -l` lists them."""

import os
import platform
import shutil
import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - nox itself also runs on older ones
    sys.exit(
        f"modelhub needs Python 3.11 or newer; this is {platform.python_version()} ({sys.executable}).\n"
        "Make a virtual environment with a newer one: python3.11 -m venv .venv && . .venv/bin/activate"
    )

import nox

ROOT = Path(__file__).parent
GROUPS = nox.project.load_toml(ROOT / "pyproject.toml")
CONSTRAINTS = ROOT / "constraints.txt"

# In as many processes as there are cores; a file's tests share what is slow to make, and stay together.
AT_ONCE = ("-n", "logical", "--maxprocesses", "4", "--dist", "loadfile")

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests", "tests_core", "plugins", "docs", "demo"]


@nox.session
def demo(session: nox.Session) -> None:
    """A chat from a real repository, start to end. Takes a public repository's name, if any."""
    install(session, ".[llama-server]", groups=("zoo",))
    session.run("python", "examples/quickstart.py", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, format and the direction between the rooms."""
    install(session, ".", groups=("lint",))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-logo")


@nox.session
def types(session: nox.Session) -> None:
    """mypy, strict."""
    install(session, ".[llama-server,postgres]", groups=("types",))
    session.run("mypy", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Every test, PostgreSQL included. Arguments go to pytest."""
    install_for_tests(session)
    session.run("pytest", *AT_ONCE, *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Which branches the tests reach. Takes three times as long: parsers are slow when they are watched."""
    install_for_tests(session)
    session.run("pytest", *AT_ONCE, "--cov=modelhub", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """The long tests: faults and races at their full counts."""
    install_for_tests(session)
    session.run("pytest", "--soak", "-m", "soak", *session.posargs)


@nox.session
def tests_core(session: nox.Session) -> None:
    """What works when no extra is installed, nor what the other tests need."""
    install(session, ".", "pytest")
    session.run(
        "pytest", "--noconftest", "tests/test_core_only.py", "tests/test_public_api.py", *session.posargs
    )


@nox.session
def plugins(session: nox.Session) -> None:
    """The example plugins, installed for real: their own tests, then their use through a Hub."""
    examples = sorted(f"./{folder.relative_to(ROOT)}" for folder in ROOT.glob("examples/modelhub-*"))
    install(session, ".", "pytest", *examples)
    for example in examples:
        session.run("pytest", example)
    session.run("pytest", "--noconftest", "tests/test_plugins.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Every code block and link of the documentation."""
    extras = "llama-server,postgres,torch" if has_torch() else "llama-server,postgres"
    install(session, f".[{extras}]", groups=("docs",))
    session.run("pytest", "--noconftest", "tests/test_docs.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Every claim about speed, against its baseline. Arguments go to each; `--quick` if none."""
    install(session, ".[llama-server,postgres]", groups=("bench",))
    for benchmark in sorted(ROOT.glob("benchmarks/*.py")):
        if '__name__ == "__main__"' in benchmark.read_text(encoding="utf-8"):
            session.run("python", str(benchmark.relative_to(ROOT)), *(session.posargs or ["--quick"]))


def install_for_tests(session: nox.Session) -> None:
    """PyTorch in a command of its own: what follows then finds its ranges met and leaves it alone.

    With it what looks through pickles, which nothing reads without PyTorch.
    """
    if has_torch():
        install(session, "torch", "picklescan")
    else:
        session.log("no PyTorch here: the tests that need it skip")
    extras = "llama-server,postgres,s3"
    if os.environ.get("CI") == "true" or shutil.which("c++"):
        extras += ",llama"  # compiles for minutes, once: pip keeps what it has built
    else:
        session.log("no C++ compiler here: the tests of llama-cpp-python skip")
    install(session, f".[{extras}]", groups=("test",))


def has_torch() -> bool:
    """Whether there is a PyTorch for this Python at the pinned version."""
    return sys.version_info[:2] == (3, 11) and (sys.platform, platform.machine()) == ("linux", "x86_64")


def install(session: nox.Session, *packages: str, groups: tuple[str, ...] = ()) -> None:
    """Install at the pinned versions."""
    session.install("-c", str(CONSTRAINTS), *packages, *nox.project.dependency_groups(GROUPS, *groups))
