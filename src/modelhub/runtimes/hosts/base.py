"""Where a model is loaded: in this process or in one of its own, behind one interface."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from modelhub.facts import Call, Device
from modelhub.runtimes.base import Bundle, Instance, Parts, Runtime


@dataclass(frozen=True, slots=True)
class Order:
    """What to load: a runtime, the `module:name` that makes it, and what its `load` gets."""

    runtime: Runtime
    origin: str
    bundle: Bundle
    device: Device
    options: Mapping[str, Any] = field(default_factory=dict)


class Host(ABC):
    """Loads models. Safe to use from several threads."""

    name: ClassVar[str]

    @abstractmethod
    def load(self, order: Order, parts: Parts, call: Call) -> Instance:
        """The model, loaded; until then `call` may end the load, as far as the host can.

        Raises:
            InvalidInput, LoadFailed: from the runtime; what it raises besides becomes a LoadFailed.
            RuntimeBroken: when what it gives is not an `Instance`.
            Cancelled, DeadlineExceeded
        """
