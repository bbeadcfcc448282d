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
from modelhub.runtimes.discovery import Runtimes
from modelhub.runtimes.instances import InstanceKey, Instances, InstanceState, Lease, SharedParts
from modelhub.runtimes.serial import SerialInstance
from modelhub.runtimes.turn import Say
from modelhub.runtimes.writing import Writing

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
    "Runtimes",
    "Say",
    "SerialInstance",
    "SharedParts",
    "Support",
    "Writing",
    "devices",
    "find_device",
]
