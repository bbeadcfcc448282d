"""What works on this machine, what does not, and what would change it."""

import logging
import platform
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

from modelhub.errors import ModelHubError
from modelhub.facts import Device, Fact, RuntimeView
from modelhub.facts.base import human_bytes, table
from modelhub.hub.opening import open_store
from modelhub.hub.recipe_book import RecipeBook
from modelhub.registry import Registry
from modelhub.registry.introspect import find_introspectors
from modelhub.runtimes import Runtimes, devices
from modelhub.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

_WIDTH = 80
_INDENT = " " * 4
_UNREADABLE = "(cannot be read)"


class Finding(Fact):
    """One thing that was looked at. `ok` false comes with what to do about it."""

    subject: str
    ok: bool
    text: str
    advice: str = ""

    def __str__(self) -> str:
        mark = "ok" if self.ok else "!!"
        said = _wrapped(f"{self.subject}: {self.text}", f"{mark}  ", _INDENT)
        return "\n".join([said, _wrapped(self.advice, _INDENT, _INDENT)] if self.advice else [said])


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
        kept = [("home", self.home), ("database", self.database), ("store", self.store)]
        parts = [
            f"modelhub {self.modelhub}, Python {self.python}, {self.platform}",
            table(("kept in", ""), kept),
            _device_table(self.devices),
            _runtime_table(self.runtimes),
            "\n".join(map(str, self.findings)),
        ]
        return "\n\n".join(filter(None, parts))


def _device_table(seen: tuple[Device, ...]) -> str:
    rows = [
        (
            device.name,
            device.cores or "",
            human_bytes(device.memory_free),
            human_bytes(device.memory_total),
            textwrap.shorten(device.description, 44, placeholder=" …"),
        )
        for device in seen
    ]
    return table(("device", "cores", "free", "total", ""), rows) if rows else ""


def _runtime_table(views: tuple[RuntimeView, ...]) -> str:
    """A row each; below it, what one that cannot be used lacks, and the command alone on its line."""
    if not views:
        return ""
    rows = [
        (
            view.name,
            "usable" if view.usable else "unusable",
            ", ".join(view.formats),
            textwrap.shorten(", ".join(view.tasks), 24, placeholder=" …"),
        )
        for view in views
    ]
    head, *lines = table(("runtime", "state", "formats", "tasks"), rows).splitlines()
    for line, view in zip(lines, views, strict=True):
        head += "\n" + "\n".join([line, *_lacks(view)])
    return head


def _lacks(view: RuntimeView) -> Iterator[str]:
    if view.reason:
        yield _wrapped(view.reason, _INDENT, _INDENT)
    if view.install:
        yield _INDENT + view.install


def _wrapped(text: str, first: str, later: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,  # a path, an address or a command's argument stays whole
        break_on_hyphens=False,
    )


def diagnose(**given: Any) -> Checkup:
    """Look at everything, with the settings that are `given` and those of the environment.

    Settings that cannot be are a finding too.
    """
    try:
        settings = Settings.from_env(None, **given)
    except ModelHubError as error:
        return _checkup(None, _bad("settings", error))
    return examine(settings)


def examine(settings: Settings) -> Checkup:
    """Look at everything; never raises for what it finds."""
    return _checkup(settings, *_places(settings), *_recipes(settings))


def _checkup(settings: Settings | None, *found: Finding) -> Checkup:
    surprises: list[Finding] = []
    seen = _looked("devices", devices, surprises) or ()
    views = _looked("runtimes", lambda: _runtimes(settings).views(), surprises) or ()
    plugins = _looked("introspectors", _introspectors, surprises) or []
    return Checkup(
        modelhub=version("modelhub"),
        python=platform.python_version(),
        platform=platform.platform(terse=True),
        home=str(settings.home) if settings else _UNREADABLE,
        database=_shown(settings.database) if settings else _UNREADABLE,
        store=settings.store if settings else _UNREADABLE,
        offline=bool(settings and settings.offline),
        devices=seen,
        runtimes=views,
        findings=(*found, *plugins, *surprises, _can_run(views), *_known_traps()),
    )


def _runtimes(settings: Settings | None) -> Runtimes:
    """As a Hub with these settings finds them."""
    return Runtimes(host=settings.host, python=settings.python) if settings else Runtimes()


def _looked(subject: str, look: Callable[[], T], found: list[Finding]) -> T | None:
    """What `look` sees; what it raises is one more thing `found`."""
    try:
        return look()
    except ModelHubError as error:
        found.append(_bad(subject, error))
    except Exception as error:
        log.exception("doctor_surprised", extra={"subject": subject})
        found.append(_surprise(subject, error))
    return None


def _shown(database: str) -> str:
    try:
        return Registry.shown(database)
    except (ModelHubError, ValueError):
        return _UNREADABLE  # the text may hold a password; why it cannot be read is a finding


def _places(settings: Settings) -> list[Finding]:
    found: list[Finding] = []
    registry = _looked("database", lambda: Registry.open(settings.database), found)
    if registry is None:
        unseen = Finding(subject="store", ok=False, text="not looked at without a database")
        return [*found, unseen]
    try:
        found.append(_good("database", f"{registry.dialect}, schema is current"))
        opened = _looked("store", lambda: open_store(registry, settings)[1], found)
        if opened is not None:
            with opened as store:
                if (told := _looked("store", store.probe, found)) is not None:
                    found.append(_good("store", told))
                for lower in store.lower:
                    if (told := _looked("lower store", lower.probe, found)) is not None:
                        found.append(_good("lower store", told))
                can = _looked("links", lambda: store.capabilities, found)
                if can is not None:
                    found.append(_good("links", str(can)))
    finally:
        registry.close()
    return found


def _recipes(settings: Settings) -> list[Finding]:
    """Files and plugins with recipes that cannot be used."""
    found: list[Finding] = []
    problems = _looked("recipes", lambda: RecipeBook(settings.recipes).problems(), found) or ()
    found += [
        Finding(subject="recipes", ok=False, text=each.text, advice=each.advice) for each in problems
    ]
    return found


def _good(subject: str, text: str) -> Finding:
    return Finding(subject=subject, ok=True, text=text)


def _bad(subject: str, error: ModelHubError) -> Finding:
    return Finding(subject=subject, ok=False, text=error.message, advice=error.hint)


def _surprise(subject: str, error: Exception) -> Finding:
    return Finding(
        subject=subject,
        ok=False,
        text=f"{type(error).__name__}: {error}",
        advice="`modelhub --debug doctor` shows where it happened; please report it.",
    )


def _introspectors() -> list[Finding]:
    """The plugins that describe repositories, if there are any; those that cannot be used say why."""
    introspectors = find_introspectors()
    problems = introspectors.problems()
    found = [_bad("introspectors", problem) for problem in problems]
    if introspectors.installed() and not problems:
        named = ", ".join(f"{each.name} of {each.provider}" for each in introspectors.installed())
        found.append(_good("introspectors", named))
    return found


def _can_run(views: tuple[RuntimeView, ...]) -> Finding:
    usable = [view.name for view in views if view.usable and not view.explicit]
    if usable:
        return _good("runtimes", f"{', '.join(usable)} can run models")
    # One that is broken has no tasks: what would mend it may not be what brings an engine.
    lacking = [view for view in views if view.install]
    lacking.sort(key=lambda view: (not view.tasks, -view.priority))
    return Finding(
        subject="runtimes",
        ok=False,
        text="no engine is installed",
        advice=f"Run: {lacking[0].install}" if lacking else "",
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
