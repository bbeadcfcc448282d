"""Which sources are installed: from the metadata of distributions, without importing any.

A source's entry point in the group `modelhub.sources` is what stands before `://` in a reference.
A plugin's further names are entry points too, and its class lists them in `aliases`. A source that
cannot be used breaks only its own use.
"""

import threading
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points

from modelhub.errors import InvalidReference, ModelHubError, SourceError
from modelhub.facts.plugin import PluginEntry, removals
from modelhub.sources.base import API_VERSION, Source
from modelhub.sources.names import nearest

GROUP = "modelhub.sources"

# Known without metadata, so that a checkout that is only on sys.path has them; their names and
# these aliases belong to modelhub, and a plugin that claims one is a conflict.
_BUILT_IN = {
    "huggingface": "modelhub.sources.huggingface:HuggingFaceSource",
    "local": "modelhub.sources.local:LocalSource",
}
_ALIASES = {"hf": "huggingface", "file": "local"}

FindEntryPoints = Callable[[], Iterable[EntryPoint]]


def _installed_entry_points() -> Iterable[EntryPoint]:
    return entry_points(group=GROUP)


class Sources:
    """The sources of this Python environment, each made when it is first used and then kept.

    `endpoint` and `token` are for the Hugging Face hub, as `HuggingFaceSource` takes them; the numbers
    of connections, and `bandwidth` in bytes a second, are what this process keeps to with it; `xet` allows
    hf-xet. `find` gives the entry points of the group `modelhub.sources`. Safe to use from several threads.
    """

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        token: str | None = None,
        max_connections: int | None = None,
        max_connections_per_host: int | None = None,
        bandwidth: int | None = None,
        xet: bool = False,
        find: FindEntryPoints = _installed_entry_points,
    ) -> None:
        self._endpoint = endpoint
        self._token = token
        self._xet = xet and bandwidth is None  # hf-xet keeps to no limit
        self._limits = (max_connections, max_connections_per_host, bandwidth)
        self._find = find
        self._lock = threading.RLock()
        self._found: dict[str, tuple[PluginEntry, ...]] | None = None
        self._made: dict[str, Source] = {}

    def installed(self) -> tuple[PluginEntry, ...]:
        """Every announced source, by name. Imports none; a name may appear more than once."""
        return tuple(entry for entries in self._by_name().values() for entry in entries)

    def canonical(self, name: str) -> str:
        """The name that the registry stores for a source's name or alias.

        Raises:
            InvalidReference: when there is no such source; the hint lists those that exist.
            SourceError: when several distributions provide it, or it is broken.
        """
        entry = self._entry(name)
        return entry.name if entry.name in _BUILT_IN else self.load(name).name

    def load(self, name: str) -> type[Source]:
        """The class of a source, by name or alias; raises as `canonical`."""
        return _load(self._entry(name))

    def get(self, name: str) -> Source:
        """The source of that name or alias, the same one each time; raises as `canonical`."""
        with self._lock:
            canonical = self.canonical(name)
            if canonical not in self._made:
                self._made[canonical] = self._make(self._entry(name))
            return self._made[canonical]

    def close(self) -> None:
        """Close every source that was used. They may be used again."""
        with self._lock:
            made, self._made = self._made, {}
        for source in made.values():
            source.close()

    def _make(self, entry: PluginEntry) -> Source:
        kind = _load(entry)
        if entry.value == _BUILT_IN["huggingface"]:
            from modelhub.sources.huggingface import HuggingFaceSource
            from modelhub.sources.transport import Transport, shared_limits

            transport = Transport(limits=shared_limits(*self._limits))
            return HuggingFaceSource(self._endpoint, self._token, transport=transport, use_xet=self._xet)
        try:
            return kind()
        except ModelHubError:
            raise
        except Exception as error:
            raise _broken(entry, f"cannot be made: {type(error).__name__}: {error}") from error

    def _by_name(self) -> dict[str, tuple[PluginEntry, ...]]:
        with self._lock:
            if self._found is None:
                announced = {
                    PluginEntry(name, value, "modelhub", "") for name, value in _BUILT_IN.items()
                }
                announced |= {_announced(point) for point in self._find()} - announced
                self._found = {}
                for entry in sorted(announced):
                    self._found[entry.name] = (*self._found.get(entry.name, ()), entry)
            return self._found

    def _entry(self, name: str) -> PluginEntry:
        found = self._by_name()
        entries = found.get(name, ())
        if name in _ALIASES:
            entries = (*found[_ALIASES[name]], *entries)
        if not entries:
            raise self._unknown(name)
        if len(entries) > 1:
            raise _conflict(name, entries)
        return entries[0]

    def _unknown(self, name: str) -> InvalidReference:
        known = nearest(name, {*self._by_name(), *_ALIASES}, 100)
        return InvalidReference(
            f"no source is named {name!r:.60}",
            hint=f"Installed are: {', '.join(known)}.",
            field="model",
            available=list(known),
        )


def _announced(point: EntryPoint) -> PluginEntry:
    if point.value == _BUILT_IN.get(point.name):
        return PluginEntry(point.name, point.value, "modelhub", "")
    return PluginEntry.of(point)


def _load(entry: PluginEntry) -> type[Source]:
    try:
        found = EntryPoint(entry.name, entry.value, GROUP).load()
    # A plugin may do anything at import, leaving the interpreter included.
    except (Exception, SystemExit) as error:
        raise _broken(entry, f"cannot be imported: {type(error).__name__}: {error}") from error
    if wrong := _wrong(found, entry.name):
        raise _broken(entry, wrong)
    assert isinstance(found, type)
    return found


def _wrong(found: object, name: str) -> str:
    """What about `found` breaks the contract, if anything."""
    if not (isinstance(found, type) and issubclass(found, Source)):
        return "is not a subclass of modelhub.sources.Source"
    if found.api_version != API_VERSION:
        return f"has api_version {found.api_version!r}, and this modelhub speaks {API_VERSION}"
    own = getattr(found, "name", None)
    if not isinstance(own, str) or not own:
        return "has no name"
    if name not in (own, *found.aliases):
        return f"calls itself {own!r:.60}, and its entry point {name!r}"
    return ""


def _conflict(name: str, entries: tuple[PluginEntry, ...]) -> SourceError:
    commands = removals(entry for entry in entries if entry.distribution != "modelhub")
    return SourceError(
        f"several distributions provide a source named {name!r}: "
        + " and ".join(entry.provider for entry in entries),
        hint=f"Keep one of them: {commands}.",
        install=commands,
    )


def _broken(entry: PluginEntry, what: str) -> SourceError:
    return SourceError(
        f"the source {entry.name!r} of {entry.provider} {what}",
        hint=entry.advice,
        install=entry.upgrade,
    )
