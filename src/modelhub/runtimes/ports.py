"""What the room of the runtimes asks somebody else to remember."""

from collections.abc import Mapping
from typing import Protocol

from modelhub.facts import InstanceRecord, InstanceStatus


class InstanceLedger(Protocol):
    """The loaded models of all processes that share a database. Its errors are `RegistryError`s."""

    def add(self, record: InstanceRecord, lease: float) -> int:
        """Write a loaded model down, for `lease` seconds; its number."""
        ...

    def beat(self, states: Mapping[int, InstanceStatus], lease: float) -> None:
        """Renew the leases of these, and say what they do."""
        ...

    def remove(self, number: int) -> None:
        """It was unloaded."""
        ...

    def reap(self) -> None:
        """Mark those as lost whose process is gone, or whose lease is over."""
        ...
