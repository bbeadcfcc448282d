"""What a runtime's tests are about: a runtime with a model for it, requests, and the answers to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelhub.facts import Call, Component, Model, RepoFile, Variant
from modelhub.refs import RepoPath
from modelhub.runtimes.base import Bundle, Instance, Runtime
from modelhub.runtimes.devices import find_device
from modelhub.runtimes.hosts import Host, Order, ProcessHost, ThreadHost
from modelhub.runtimes.instances import SharedParts
from modelhub.tasks import Request

HOSTS: Mapping[str, Host] = {host.name: host for host in (ThreadHost(), ProcessHost())}
"""Where each rule is tried."""


@dataclass(frozen=True)
class Subject:
    """A runtime with a model for it. `options` are how tests load it.

    `origin` is the `module:name` that makes the runtime in another process; by default its class,
    which must then be at the top of a module.
    """

    runtime: Runtime
    bundle: Bundle
    options: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""

    def load(self, host: str = ThreadHost.name, **options: Any) -> Instance:
        """The model, loaded by the host of that name, with `options` besides its own."""
        kind = type(self.runtime)
        origin = self.origin or f"{kind.__module__}:{kind.__qualname__}"
        order = Order(self.runtime, origin, self.bundle, find_device("cpu"), {**self.options, **options})
        return HOSTS[host].load(order, SharedParts(), Call())


def folder_bundle(folder: Path, task: str, file_format: str) -> Bundle:
    """What the Hub hands to `load`, for the files of a folder: one model with one component, `model`."""
    files = tuple(
        RepoFile(path=RepoPath(path.relative_to(folder).as_posix()), size=path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )
    part = Component(
        name="model", repo=f"tests/{folder.name}", commit="0" * 40, files=files, format=file_format
    )
    variant = Variant(name=file_format, format=file_format, components=(part,))
    model = Model(name=folder.name, task=task, category="test", variants=(variant,))
    return Bundle(model, variant, {"model": folder})


@dataclass(frozen=True)
class Case:
    """A request and the whole answer to it, as the contract's `read` gives it: the text of a chat."""

    request: Request
    answer: Any


class UnknownRequest(Request):
    """A kind of request that no runtime serves."""
