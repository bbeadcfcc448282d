"""`modelhub adopt-hf-cache` and `modelhub export-hf-cache`: what was fetched once need not be fetched again."""

from pathlib import Path
from typing import Annotated

import typer

from modelhub.cli import render
from modelhub.cli.options import AsJson, Model, VariantName, common
from modelhub.store import known_mode


def adopt_hf_cache(
    path: Annotated[
        Path | None, typer.Argument(help="The cache's folder; that of HF_HUB_CACHE if left out.")
    ] = None,
    mode: Annotated[
        str, typer.Option(help="auto (clones where that can be, else copies), copy, reflink, hardlink.")
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """Take huggingface_hub's cache into the store. Exits 1 when a file was rejected."""
    way = known_mode(mode)
    with common.hub() as hub:
        done = hub.adopt_hf_cache(path, mode=way)
    render.fact(done, as_json=as_json)
    if done.rejected:
        raise typer.Exit(1)


def export_hf_cache(
    model: Model,
    path: Annotated[Path, typer.Argument(help="The cache's folder, made if it is missing.")],
    variant: VariantName = None,
    as_json: AsJson = False,
) -> None:
    """Put a model into a cache of huggingface_hub. It is for programs that read only that."""
    with common.hub() as hub:
        done = hub.export_hf_cache(model, path, variant=variant)
    render.fact(done, as_json=as_json)
