"""Repositories whose card says diffusers, and whose files say that it cannot open them.

`Wan-AI/Wan2.1-T2V-1.3B` is one: the weights of a model as its authors' own code has them.
"""

import re
from collections.abc import Iterator

from modelhub.facts import Evidence, RepoListing, RepoWarning
from modelhub.registry.introspect.base import FROM_CARD, FROM_NAME, Findings, Metadata
from modelhub.registry.introspect.diffusers.index import INDEX, MODULAR
from modelhub.registry.introspect.documents import Documents

__all__ = ["layout_findings"]

_ONE_PART = re.compile(
    r".*(?:Adapter|Autoencoder|ControlNet|Scheduler|Transformer[123]?D?Model|UNet|VQModel)\w*"
)
"""Classes in a `config.json` that diffusers opens by themselves, without a pipeline around them."""
_ADAPTER_TAGS = frozenset(
    ["controlnet", "lora", "template:sd-lora", "textual_inversion", "textual-inversion"]
)
_ADAPTER_FILES = re.compile(
    r"adapter_config\.json|.*lora.*\.safetensors|learned_embeds\.\w+", re.IGNORECASE
)


def layout_findings(listing: RepoListing, metadata: Metadata) -> Findings:
    """Both sides of the contradiction, where there is one."""
    source = _claims(listing)
    if source is None or _can_be_opened(listing, metadata):
        return Findings()
    missing = f"there is no {INDEX}"
    evidence = [
        Evidence(subject="repository", key="layout", value="original", evidence=missing, trust=FROM_NAME)
    ]
    if listing.library_name != "diffusers":  # else it is a row of the card's already
        row = Evidence(
            subject="repository", key="library_name", value="diffusers", evidence=source, trust=FROM_CARD
        )
        evidence.append(row)
    text = (
        f"{source.partition(':')[0]} says diffusers, but {missing}: loads only with the original code."
    )
    return Findings(evidence=tuple(evidence), warnings=(RepoWarning(code="layout.original", text=text),))


def _claims(listing: RepoListing) -> str | None:
    """What says that the repository is for diffusers."""
    if listing.library_name == "diffusers":
        return "card: library_name"
    return "tag: diffusers" if "diffusers" in listing.tags else None


def _can_be_opened(listing: RepoListing, metadata: Metadata) -> bool:
    """Whether there is a pipeline, a single part of one, or something that is added to one."""
    names = {file.path.name for file in listing.files}
    return bool(
        names & {INDEX, MODULAR}
        or _ADAPTER_TAGS.intersection(tag.lower() for tag in listing.tags)
        or any(tag.startswith("base_model:adapter:") for tag in listing.tags)
        or any(_ADAPTER_FILES.fullmatch(name) for name in names)
        or any(name.lower().endswith(".gguf") for name in names)
        or any(map(_ONE_PART.fullmatch, _classes(listing, metadata)))
    )


def _classes(listing: RepoListing, metadata: Metadata) -> Iterator[str]:
    """The classes that configurations at the root name."""
    documents = Documents(listing, metadata)
    for name in ("config.json", "scheduler_config.json"):
        yield documents.fields(name).text("_class_name") or ""
