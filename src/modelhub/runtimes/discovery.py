"""Which runtimes are installed: from the metadata of distributions, without importing any.

A runtime that cannot be used breaks only its own use: the others are listed and work.
"""

import difflib
import sys
import threading
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points

from modelhub.errors import RuntimeBroken, RuntimeConflict, RuntimeNotFound, RuntimeProblem
from modelhub.facts import RuntimeView
from modelhub.facts.plugin import PluginEntry, removals
from modelhub.runtimes.base import API_VERSION, Runtime
from modelhub.runtimes.elsewhere import There, ask

GROUP = "modelhub.runtimes"

FindEntryPoints = Callable[[], Iterable[EntryPoint]]


def _installed_entry_points() -> Iterable[EntryPoint]:
    return entry_points(group=GROUP)


class Runtimes:
    """The runtimes of this Python environment, as they were when first asked for.

    `find` gives the entry points of the group `modelhub.runtimes`. `python` is the interpreter of child
    processes, this one by default: where models run in those (`host` is `process`, or the runtime is
    isolated), it is asked once what it has, and its word counts.
    """

    def __init__(
        self,
        find: FindEntryPoints = _installed_entry_points,
        *,
        host: str = "thread",
        python: str | None = None,
    ) -> None:
        self._find = find
        self._in_children = host == "process"
        self._python = None if python == sys.executable else python
        self._lock = threading.RLock()
        self._found: dict[str, tuple[EntryPoint, ...]] | None = None
        self._loaded: dict[str, Runtime] = {}
        self._there: dict[str, There] | None = None
        self._told: set[str] = set()  # those that have told their version

    def installed(self) -> tuple[PluginEntry, ...]:
        """Every announced runtime, by name. Imports none; a name may appear more than once."""
        return tuple(PluginEntry.of(point) for points in self._by_name().values() for point in points)

    def load(self, name: str) -> Runtime:
        """The runtime of that name, ready to be asked. Its engine is not imported.

        Raises:
            RuntimeNotFound: listing those that exist, nearest first.
            RuntimeConflict: when several distributions provide the name.
            RuntimeBroken: when it cannot be imported or is not a runtime; the cause is chained.
        """
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = _make(self._entry_point(name))
            return self._loaded[name]

    def origin(self, name: str) -> str:
        """The `module:class` that the runtime of that name is made from, for another process.

        Raises:
            RuntimeNotFound, RuntimeConflict
        """
        return self._entry_point(name).value

    def version(self, name: str) -> str:
        """The version of the engine by which the runtime of that name answers.

        Raises:
            RuntimeNotFound, RuntimeConflict, RuntimeBroken
        """
        runtime = self.load(name)
        there = self._elsewhere(runtime)
        return runtime.version() if there is None else there.version

    def views(self) -> tuple[RuntimeView, ...]:
        """Each runtime as a planner sees it; those that cannot be used say why."""
        return tuple(self._view(name) for name in self._by_name())

    def _by_name(self) -> dict[str, tuple[EntryPoint, ...]]:
        with self._lock:
            if self._found is None:
                found: dict[str, tuple[EntryPoint, ...]] = {}
                for point in sorted(
                    self._find(), key=lambda point: (point.name, PluginEntry.of(point).provider)
                ):
                    found[point.name] = (*found.get(point.name, ()), point)
                self._found = found
            return self._found

    def _entry_point(self, name: str) -> EntryPoint:
        points = self._by_name().get(name, ())
        if not points:
            raise self._unknown(name)
        if len(points) > 1:
            raise _conflict(name, [PluginEntry.of(point) for point in points])
        return points[0]

    def _unknown(self, name: str) -> RuntimeNotFound:
        def likeness(known: str) -> float:
            return difflib.SequenceMatcher(None, name, known).ratio()

        known = ", ".join(sorted(self._by_name(), key=likeness, reverse=True))
        return RuntimeNotFound(
            f"no runtime is named {name!r:.60}",
            hint=f"Installed are: {known}." if known else "No runtime is installed at all.",
            field="runtime",
        )

    def _view(self, name: str) -> RuntimeView:
        try:
            runtime = self.load(name)
            there = self._elsewhere(runtime)
            return self._described(runtime) if there is None else self._described_there(runtime, there)
        except RuntimeProblem as error:
            problem = error
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's own; its view says what
            problem = _broken(self._entry_point(name), _failed("cannot be described", error))
        return RuntimeView(
            name=name,
            tasks=(),
            formats=(),
            usable=False,
            reason=problem.message,
            install=problem.details.get("install", ""),
        )

    def _elsewhere(self, runtime: Runtime) -> There | None:
        """What another interpreter says of a runtime, if it is the one that would run it."""
        if self._python is None or not (self._in_children or runtime.isolated):
            return None
        with self._lock:
            if self._there is None:
                single = {
                    name: points[0].value for name, points in self._by_name().items() if len(points) == 1
                }
                self._there = ask(self._python, single)
            return self._there[runtime.name]

    def _described(self, runtime: Runtime) -> RuntimeView:
        missing = ", ".join(runtime.missing())
        if missing:
            return _view(runtime, f"needs {missing}, which is not installed", runtime.install)
        if runtime.name not in self._told:  # once: it takes milliseconds to read it
            runtime.version()  # every answer tells it: what cannot say it cannot serve
            self._told.add(runtime.name)
        return _view(runtime)

    def _described_there(self, runtime: Runtime, there: There) -> RuntimeView:
        pip = f"{self._python} -m"
        if there.problem:
            upgrade = f"{pip} {PluginEntry.of(self._entry_point(runtime.name)).upgrade}"
            return _view(
                runtime, f"is not to be had: {self._python} {there.problem}", there.install or upgrade
            )
        if not there.missing:
            return _view(runtime)
        reason = f"needs {', '.join(there.missing)}, which {self._python} does not have"
        return _view(runtime, reason, f"{pip} {runtime.install}" if runtime.install else "")


def _view(runtime: Runtime, reason: str = "", install: str = "") -> RuntimeView:
    """A runtime as a planner sees it; usable unless there is a reason why not."""
    return RuntimeView(
        name=runtime.name,
        tasks=runtime.tasks,
        formats=runtime.formats,
        priority=runtime.priority,
        explicit=runtime.explicit,
        unused=runtime.unused,
        usable=not reason,
        reason=reason,
        install=install,
    )


def _conflict(name: str, entries: list[PluginEntry]) -> RuntimeConflict:
    providers = " and ".join(entry.provider for entry in entries)
    commands = removals(entries)
    return RuntimeConflict(
        f"several distributions provide a runtime named {name!r}: {providers}",
        hint=f"Keep one of them: {commands}.",
        install=commands,
    )


def _make(point: EntryPoint) -> Runtime:
    try:
        made = point.load()
        # A plugin may do anything at import, leaving the interpreter included.
        runtime = made() if isinstance(made, type) else made
    except (Exception, SystemExit) as error:
        raise _broken(point, _failed("cannot be imported", error)) from error
    try:
        wrong = _wrong(runtime, point.name)
    except (Exception, SystemExit) as error:
        raise _broken(point, _failed("cannot be described", error)) from error
    if wrong:
        raise _broken(point, wrong)
    assert isinstance(runtime, Runtime)
    return runtime


def _wrong(runtime: object, name: str) -> str:
    """What about `runtime` breaks the contract, if anything."""
    if not isinstance(runtime, Runtime):
        return f"is not a subclass of modelhub.runtimes.Runtime but {type(runtime).__name__!r}"
    if runtime.api_version != API_VERSION:
        return f"has api_version {runtime.api_version!r}, and this modelhub speaks {API_VERSION}"
    for attribute in ("tasks", "formats", "requires", "response_formats"):
        value = getattr(runtime, attribute, None)
        if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
            return f"has no tuple of texts {attribute!r}, but {value!r:.80}"
    for attribute, kind in (("install", str), ("priority", int), ("explicit", bool), ("isolated", bool)):
        value = getattr(runtime, attribute)
        if not isinstance(value, kind):
            return f"has no {kind.__name__} as {attribute!r}, but {value!r:.80}"
    if getattr(runtime, "name", None) != name:
        return f"calls itself {getattr(runtime, 'name', None)!r:.60}, and its entry point {name!r}"
    return ""


def _failed(how: str, error: BaseException) -> str:
    return f"{how}: {type(error).__name__}: {error}"


def _broken(point: EntryPoint, what: str) -> RuntimeBroken:
    entry = PluginEntry.of(point)
    return RuntimeBroken(
        f"the runtime {entry.name!r} of {entry.provider} {what}",
        hint=entry.advice,
        install=entry.upgrade,
    )
