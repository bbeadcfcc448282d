"""The contract as the tests of chat engines use it, and a device that is not there."""

from modelhub.facts import Device
from modelhub.runtimes.testing import LIVENESS, Case, ChatContract, Subject

RuntimeContract = ChatContract

__all__ = ["LIVENESS", "Case", "ChatContract", "RuntimeContract", "Subject", "on_another_device"]


def on_another_device(kind: str) -> Device:
    """A device that this machine need not have."""
    return Device(name=f"{kind}:0", kind=kind, memory_total=1 << 34, memory_free=1 << 34)
