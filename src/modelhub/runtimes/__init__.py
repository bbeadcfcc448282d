"""What runs a model: the contract, discovery, devices, instances, and one file an engine."""

from modelhub.runtimes.base import (
    API_VERSION,
    Bundle,
    Capabilities,
    Footprint,
    Instance,
    Parts,
    Runtime,
    Support,
)
from modelhub.runtimes.devices import devices, find_device
from modelhub.runtimes.discovery import RuntimeEntry, Runtimes
from modelhub.runtimes.instances import InstanceKey, Instances, InstanceState, Lease, SharedParts

__all__ = [
    "API_VERSION",
    "Bundle",
    "Capabilities",
    "Footprint",
    "Instance",
    "InstanceKey",
    "InstanceState",
    "Instances",
    "Lease",
    "Parts",
    "Runtime",
    "RuntimeEntry",
    "Runtimes",
    "SharedParts",
    "Support",
    "devices",
    "find_device",
]
