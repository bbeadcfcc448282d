"""What a transaction will have done, to be logged once it is committed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """A log line: its name, its `extra=` fields."""

    name: str
    fields: dict[str, Any]


@dataclass(slots=True)
class Events:
    """The events of one transaction, in order."""

    _events: list[Event] = field(default_factory=list)

    def add(self, name: str, **fields: Any) -> None:
        """Log this if the transaction is committed."""
        self._events.append(Event(name, fields))

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)
