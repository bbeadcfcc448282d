"""What works on this machine, what does not, and what would change it."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from modelhub.errors import ModelHubError
from modelhub.facts import Device, Fact, RuntimeView
from modelhub.facts.base import human_bytes, table
from modelhub.registry import Registry, StoreLedger
from modelhub.runtimes import Runtimes, devices
from modelhub.settings import Settings
from modelhub.store import Store


class Finding(Fact):
    """One thing that was looked at. `ok` false comes with what to do about it."""

    subject: str
    ok: bool
    text: str
    advice: str = ""


class Checkup(Fact):
    """Everything `modelhub doctor` looks at. `ok` when nothing stands in the way of a chat."""

    modelhub: str
    python: str
    platform: str
    home: str
    database: str
    store: str
    offline: bool
    devices: tuple[Device, ...]
    runtimes: tuple[RuntimeView, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether every finding is good."""
        return all(finding.ok for finding in self.findings)

    def __str__(self) -> str:
        places = [("home", self.home), ("database", self.database), ("store", self.store)]
        kept = table(("kept in", ""), places)
        seen = table(
            ("device", "cores", "free", "total", ""),
            [
                (
                    d.name,
                    d.cores or "",
                    human_bytes(d.memory_free),
                    human_bytes(d.memory_total),
                    d.description,
                )
                for d in self.devices
            ],
        )
        runtimes = table(
            ("runtime", "state", "tasks", "formats", "to make it usable"),
            [
                (
                    view.name,
                    "usable" if view.usable else view.reason,
                    ", ".join(view.tasks),
                    ", ".join(view.formats),
                    view.install,
                )
                for view in self.runtimes
            ],
        )
        found = [
            f"{'ok ' if f.ok else '!! '} {f.subject}: {f.text}"
            + (f"\n    {f.advice}" if f.advice else "")
            for f in self.findings
        ]
        head = f"modelhub {self.modelhub}, Python {self.python}, {self.platform}"
        return "\n\n".join([head, kept, seen, runtimes, "\n".join(found)])


def examine(settings: Settings) -> Checkup:
    """Look at everything; never raises for what it finds."""
    views = Runtimes().views()
    return Checkup(
        modelhub=version("modelhub"),
        python=platform.python_version(),
        platform=platform.platform(terse=True),
        home=str(settings.home),
        database=Registry.shown(settings.database),
        store=settings.store,
        offline=settings.offline,
        devices=devices(),
        runtimes=views,
        findings=(*_places(settings), _can_run(views), *_known_traps()),
    )


def _places(settings: Settings) -> tuple[Finding, Finding]:
    try:
        registry = Registry.open(settings.database)
    except ModelHubError as error:
        unseen = Finding(subject="store", ok=False, text="not looked at without a database")
        return _bad("database", error), unseen
    try:
        database = Finding(subject="database", ok=True, text=f"{registry.dialect}, schema is current")
        return database, _store(settings, registry)
    finally:
        registry.close()


def _store(settings: Settings, registry: Registry) -> Finding:
    try:
        store = Store.open(settings.store, StoreLedger(registry, settings.store))
    except ModelHubError as error:
        return _bad("store", error)
    store.close()
    folder = Path(unquote(urlsplit(settings.store).path))
    return Finding(subject="store", ok=True, text=f"{folder} can be written")


def _bad(subject: str, error: ModelHubError) -> Finding:
    return Finding(subject=subject, ok=False, text=error.message, advice=error.hint)


def _can_run(views: tuple[RuntimeView, ...]) -> Finding:
    usable = [view.name for view in views if view.usable and not view.explicit]
    if usable:
        return Finding(subject="runtimes", ok=True, text=f"{', '.join(usable)} can run models")
    installs = [view.install for view in views if view.install]
    return Finding(
        subject="runtimes",
        ok=False,
        text="no engine is installed",
        advice=f"Run: {installs[0]}" if installs else "",
    )


def _known_traps() -> tuple[Finding, ...]:
    """Combinations of installed packages that break others without saying so."""
    found = []
    if _installed("onnxruntime") and _installed("onnxruntime-gpu"):
        found.append(
            Finding(
                subject="onnxruntime",
                ok=False,
                text="onnxruntime and onnxruntime-gpu are both installed, and overwrite each other",
                advice="Uninstall both, then install one of them.",
            )
        )
    return tuple(found)


def _installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
