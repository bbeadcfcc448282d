"""What a model could run on."""

from modelhub.facts.base import Fact


class Device(Fact):
    """One device of this machine.

    `name` is what a caller writes (`cpu`, `cuda:0`); `memory_total` and `memory_free` are bytes
    that this process may use (a container's limit counts); `kind` is `cpu` or `cuda`.
    """

    name: str
    kind: str
    description: str = ""
    memory_total: int
    memory_free: int
    cores: int | None = None
