"""Which introspectors are installed: from the metadata of distributions, imported when first needed.

One that cannot be used breaks only its own use.
"""

import threading
from collections.abc import Callable, Iterable
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points

from modelhub.errors import IntrospectorBroken
from modelhub.facts.plugin import PluginEntry, removals
from modelhub.registry.introspect.base import Family
from modelhub.registry.introspect.guarded import Guarded, Unusable
from modelhub.registry.introspect.plugin import API_VERSION, Introspector

__all__ = ["GROUP", "Introspectors"]

GROUP = "modelhub.introspectors"

FindEntryPoints = Callable[[], Iterable[EntryPoint]]


def _installed_entry_points() -> Iterable[EntryPoint]:
    return entry_points(group=GROUP)


class Introspectors:
    """The introspectors of this Python environment, as they were when first asked for.

    `find` gives the entry points of the group `modelhub.introspectors`; `own` are the names of
    modelhub's families, which no plugin may take. Safe to use from several threads.
    """

    def __init__(
        self, own: Iterable[str] = (), *, find: FindEntryPoints = _installed_entry_points
    ) -> None:
        self._own = frozenset(own)
        self._find = find
        self._lock = threading.RLock()
        self._found: dict[str, tuple[PluginEntry, ...]] | None = None
        self._families: tuple[Family, ...] | None = None

    def installed(self) -> tuple[PluginEntry, ...]:
        """Every announced introspector, by name. Imports none; a name may appear more than once."""
        return tuple(entry for entries in self._by_name().values() for entry in entries)

    def digest(self) -> str:
        """A mark of the installed introspectors and their versions, empty without any. Imports none."""
        lines = "\n".join("\t".join(entry) for entry in self.installed())
        return sha256(lines.encode()).hexdigest()[:16] if lines else ""

    def load(self, name: str) -> Introspector:
        """The introspector of that name.

        Raises:
            IntrospectorBroken: when there is none, several distributions provide it, it cannot be
                imported or is no introspector; the cause is chained.
        """
        entries = self._by_name().get(name, ())
        if not entries:
            known = ", ".join(self._by_name()) or "none"
            raise IntrospectorBroken(
                f"no introspector is named {name!r:.60}", hint=f"Installed are: {known}."
            )
        if len(entries) > 1 or name in self._own:
            raise _conflict(entries, own=name in self._own)
        return _make(entries[0])

    def families(self) -> tuple[Family, ...]:
        """All of them as families of repositories. One that is broken only says so."""
        with self._lock:
            if self._families is None:
                self._families = tuple(self._family(name) for name in self._by_name())
            return self._families

    def problems(self) -> tuple[IntrospectorBroken, ...]:
        """Why those cannot be used that cannot."""
        return tuple(
            problem
            for name in self._by_name()
            if isinstance(problem := self._try(name), IntrospectorBroken)
        )

    def _family(self, name: str) -> Family:
        made = self._try(name)
        if isinstance(made, IntrospectorBroken):
            return Unusable(name, made.message)
        return Guarded(made, _title(self._by_name()[name][0]))

    def _try(self, name: str) -> Introspector | IntrospectorBroken:
        try:
            return self.load(name)
        except IntrospectorBroken as error:
            return error

    def _by_name(self) -> dict[str, tuple[PluginEntry, ...]]:
        with self._lock:
            if self._found is None:
                self._found = {}
                for entry in sorted({PluginEntry.of(point) for point in self._find()}):
                    self._found[entry.name] = (*self._found.get(entry.name, ()), entry)
            return self._found


def _make(entry: PluginEntry) -> Introspector:
    try:
        found = EntryPoint(entry.name, entry.value, GROUP).load()
        # A plugin may do anything at import, leaving the interpreter included.
        made = found() if isinstance(found, type) else found
        wrong = _wrong(made, entry.name)
    except (Exception, SystemExit) as error:
        raise _broken(entry, f"cannot be imported: {type(error).__name__}: {error}") from error
    if wrong:
        raise _broken(entry, wrong)
    assert isinstance(made, Introspector)
    return made


def _wrong(made: object, name: str) -> str:
    """What about `made` breaks the contract, if anything."""
    if not isinstance(made, Introspector):
        return "is not a subclass of modelhub.registry.introspect.Introspector"
    if made.api_version != API_VERSION:
        return f"has api_version {made.api_version!r}, and this modelhub speaks {API_VERSION}"
    own = getattr(made, "name", None)
    return "" if own == name else f"calls itself {own!r:.60}, and its entry point {name!r}"


def _title(entry: PluginEntry) -> str:
    return f"The introspector {entry.name!r} of {entry.provider}"


def _conflict(entries: tuple[PluginEntry, ...], *, own: bool) -> IntrospectorBroken:
    providers = [*(["modelhub itself"] if own else []), *(entry.provider for entry in entries)]
    commands = removals(entries)
    return IntrospectorBroken(
        f"Several provide an introspector named {entries[0].name!r}: {' and '.join(providers)}",
        hint=f"Keep one of them: {commands}.",
        install=commands,
    )


def _broken(entry: PluginEntry, what: str) -> IntrospectorBroken:
    return IntrospectorBroken(
        f"{_title(entry)} {what}",
        hint=entry.advice,
        install=entry.upgrade,
    )
