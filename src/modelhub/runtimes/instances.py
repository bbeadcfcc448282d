"""What is loaded: one instance a key, shared by everybody who asks for it."""

import json
import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from modelhub.errors import HubClosed, RegistryError
from modelhub.facts import Call, InstanceRecord, InstanceStatus
from modelhub.refs import Digest
from modelhub.runtimes.base import Instance, Parts
from modelhub.runtimes.gate import Gate
from modelhub.runtimes.heart import LEASE_SECONDS, Heart
from modelhub.runtimes.ports import InstanceLedger
from modelhub.runtimes.single_flight import SingleFlight

log = logging.getLogger(__name__)

T = TypeVar("T")

Describe = Callable[[Instance], InstanceRecord]


class InstanceKey(NamedTuple):
    """What makes two loaded models the same: the weights, the runtime, the device, the options, and which
    of the weights were trusted to run code.
    """

    digests: tuple[str, ...]
    runtime: str
    device: str
    options: str
    trusted: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        digests: Iterable[str],
        runtime: str,
        device: str,
        options: Mapping[str, Any],
        trust: frozenset[Digest] = frozenset(),
    ) -> "InstanceKey":
        """The key, whatever the order of digests and options and whatever their values are."""
        text = json.dumps(dict(options), sort_keys=True, default=repr)
        known = tuple(sorted(digests))
        return cls(known, runtime, device, text, tuple(each for each in known if each in trust))


class InstanceState(NamedTuple):
    """A loaded model at this moment. Times are seconds of `time.time()`."""

    key: Hashable
    in_flight: int
    waiting: int
    loaded_at: float
    load_seconds: float
    last_used: float


class _Loaded:
    number: int | None = None
    """Its row in the ledger."""

    def __init__(self, key: Hashable, instance: Instance, load_seconds: float) -> None:
        self.key = key
        self.instance = instance
        self.gate = Gate(instance.capabilities.max_concurrency)
        self.runtime = key.runtime if isinstance(key, InstanceKey) else type(instance).__name__
        self.load_seconds = load_seconds
        self.loaded_at = self.last_used = time.time()

    def state(self) -> InstanceState:
        return InstanceState(
            key=self.key,
            in_flight=self.gate.inside,
            waiting=self.gate.waiting,
            loaded_at=self.loaded_at,
            load_seconds=self.load_seconds,
            last_used=self.last_used,
        )

    def close(self) -> None:
        self.instance.close()
        log.info("instance_unloaded", extra={"runtime_type": self.runtime})


class Lease:
    """A loaded instance that the holder may use, until `release`. A context manager."""

    def __init__(self, loaded: _Loaded) -> None:
        self._loaded: _Loaded | None = loaded
        self._instance = loaded.instance
        self._number = loaded.number

    @property
    def number(self) -> int | None:
        """The number of its row, where it has one."""
        return self._number

    @property
    def instance(self) -> Instance:
        """The instance. It may be closed under its holder, whose calls then end with an error."""
        return self._instance

    def release(self) -> None:
        """Let the next one in. Safe to call twice."""
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.last_used = time.time()
            loaded.gate.leave()

    def __enter__(self) -> Instance:
        return self._instance

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


class Instances:
    """The loaded models of one Hub. Safe to use from several threads.

    With a `ledger` each has a row while it is loaded.
    """

    def __init__(self, ledger: InstanceLedger | None = None) -> None:
        self.parts: SharedParts = SharedParts()
        self._loaded: SingleFlight[Hashable, _Loaded] = SingleFlight()
        self._closed = threading.Event()
        self._ledger = ledger
        self._heart = None if ledger is None else Heart(ledger, self._states)

    def acquire(
        self,
        key: Hashable,
        load: Callable[[], Instance],
        call: Call | None = None,
        describe: Describe | None = None,
    ) -> Lease:
        """The instance for `key`, loaded by `load` if nobody has loaded it yet, or if the process that
        held it is gone. `describe` says what its row holds.

        Callers that come while it loads wait for that one load. When as many hold a lease as the
        instance takes at the same time (`capabilities.max_concurrency`), the others wait in order.

        Raises:
            HubClosed: after `close`.
            Cancelled, DeadlineExceeded: from the call, while it waits.
            Whatever `load` raises; the next `acquire` then tries again.
        """
        call = call or Call()
        self._check_open()
        loaded = self._loaded.get(key, lambda: self._load(key, load, describe), call.check)
        if not loaded.instance.alive:
            self._bury(loaded)
            loaded = self._loaded.get(key, lambda: self._load(key, load, describe), call.check)
        loaded.gate.enter(call)
        return Lease(loaded)

    def _bury(self, loaded: _Loaded) -> None:
        """Let go of one whose process is gone; its callers hear of that from itself."""
        if self._loaded.drop(loaded.key, loaded):
            self._forget(loaded)
            loaded.close()

    def _forget(self, loaded: _Loaded) -> None:
        if self._ledger is not None and loaded.number is not None:
            try:
                self._ledger.remove(loaded.number)
            except (RegistryError, HubClosed) as error:
                # Its lease runs out: whoever looks then sees that it is lost.
                log.warning("instance_not_recorded", extra={"error_type": error.code})

    def _record(self, loaded: _Loaded, describe: Describe | None) -> None:
        if self._ledger is None or self._heart is None or describe is None:
            return
        try:
            loaded.number = self._ledger.add(describe(loaded.instance), LEASE_SECONDS)
        except (RegistryError, HubClosed) as error:
            log.warning("instance_not_recorded", extra={"error_type": error.code})
        else:
            self._heart.start()

    def _states(self) -> dict[int, InstanceStatus]:
        """What those are doing that have a row; those whose process is gone are buried."""
        states = {}
        for loaded in self._loaded.landed():
            if not loaded.instance.alive:
                self._bury(loaded)
            elif loaded.number is not None:
                busy = loaded.gate.inside > 0
                states[loaded.number] = InstanceStatus.BUSY if busy else InstanceStatus.IDLE
        return states

    def _load(self, key: Hashable, load: Callable[[], Instance], describe: Describe | None) -> _Loaded:
        started = time.monotonic()
        loaded = _Loaded(key, load(), time.monotonic() - started)
        try:
            self._check_open()
            self._record(loaded, describe)
        except BaseException:
            loaded.close()
            raise
        log.info(
            "instance_loaded",
            extra={
                "runtime_type": loaded.runtime,
                "duration_ms": round(loaded.load_seconds * 1000),
            },
        )
        return loaded

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise _closed()

    def close(self, drain: float = 0.0) -> None:
        """Unload everything. Safe to call twice.

        Running calls have `drain` seconds to finish and then end with an error; calls that wait
        for their turn end at once. A load that is under way is waited for.
        """
        self._closed.set()
        if self._heart is not None:
            self._heart.stop()
        until, errors = time.monotonic() + drain, []
        for loaded in self._loaded.take_all():
            loaded.gate.close(_closed)
            _drain(loaded.gate, until)
            try:
                self._forget(loaded)
                loaded.close()
            except Exception as error:  # noqa: BLE001 - the others are closed first, then it is raised
                errors.append(error)
        self.parts.clear()
        if errors:
            raise errors[0] if len(errors) == 1 else ExceptionGroup("models did not unload", errors)

    def holds(self, key: Hashable) -> bool:
        """Whether the instance for `key` is loaded and alive, or being loaded."""
        loaded = self._loaded.peek(key)
        return self._loaded.has(key) if loaded is None else loaded.instance.alive

    def list(self) -> tuple[InstanceState, ...]:
        """What is loaded now."""
        return tuple(loaded.state() for loaded in self._loaded.landed())


def _drain(gate: Gate, until: float) -> None:
    while gate.inside and time.monotonic() < until:
        time.sleep(min(0.01, max(0.0, until - time.monotonic())))


def _closed() -> HubClosed:
    return HubClosed("this Hub is closed, and its models are unloaded", hint="Make a new one.")


class SharedParts(Parts):
    """Loaded components by content, kept until `clear`."""

    def __init__(self) -> None:
        self._parts: SingleFlight[Digest, Any] = SingleFlight()

    def get(self, digest: Digest, make: Callable[[], T]) -> T:
        """The part with this content, made by `make` if nobody has it yet."""
        part: T = self._parts.get(digest, make)
        return part

    def clear(self) -> None:
        """Forget every part."""
        for _ in self._parts.take_all():
            pass
