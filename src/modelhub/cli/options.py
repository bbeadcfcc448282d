"""Arguments and options that several commands take, and the Hub that they are for."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from modelhub.hub import Hub

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="[vendor/]name[@revision][:tag]…, or a folder or file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Task = Annotated[str | None, typer.Option(help="Canonical task, such as text-generation.")]
VariantName = Annotated[str | None, typer.Option("--variant", help="Variant, such as q4_k_m.")]
RuntimeName = Annotated[str | None, typer.Option("--runtime", help="Runtime, such as llama_server.")]
DeviceName = Annotated[str | None, typer.Option("--device", help="Device, such as cpu.")]
Trusted = Annotated[
    list[str] | None,
    typer.Option("--trust", metavar="SHA256", help="A pickle that may run code; may repeat."),
]
RuntimeOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="NAME=VALUE", help="For the runtime, such as n_ctx=4096; may repeat."
    ),
]


@dataclass(slots=True)
class Common:
    """What stands before the command."""

    home: Path | None = None
    database: str | None = None
    store: str | None = None
    offline: bool | None = None
    debug: bool = False

    def settings(self) -> dict[str, Any]:
        """Those that are settings of a Hub."""
        names = ("home", "database", "store", "offline")
        return {name: getattr(self, name) for name in names}

    def hub(self, workers: int | None = None) -> "Hub":
        """A Hub for one command. A command that ends soon has no `workers` of its own."""
        from modelhub import Hub
        from modelhub.settings import Settings

        return Hub(Settings.from_env(**self.settings(), workers=workers))


common = Common()
"""Of this process: one command line a process."""
