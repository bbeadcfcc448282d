"""On which model an adapter builds: what states it, and whether that can be the name of a repository."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from modelhub.errors import InvalidReference
from modelhub.facts import RepoListing
from modelhub.refs import ModelRef
from modelhub.registry.introspect.adapters.places import TAG
from modelhub.registry.introspect.base import FROM_CARD, FROM_CONFIG
from modelhub.registry.introspect.documents import Documents, Fields

__all__ = ["Claim", "base_claims", "choose_base", "repository_of"]

NAME, REVISION = "base_model_name_or_path", "revision"
MAX_CLAIMS = 16

_LOCAL = re.compile(r"[/\\~.]|file:|[A-Za-z]:[\\/]|.*[\\]|.*/.*/")


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement of which model it is: as it is written, at which revision; what it rests on."""

    text: str
    evidence: str
    trust: int
    revision: str | None = None

    @property
    def is_path(self) -> bool:
        """Whether it names a folder on the machine of whoever trained it."""
        return bool(_LOCAL.match(self.text)) and "://" not in self.text


def base_claims(documents: Documents, config: Fields) -> tuple[Claim, ...]:
    """Everything that states the base, the most trusted first."""
    claims = []
    if text := config.text(NAME):
        claims.append(Claim(text, f"{config.name}: {NAME}", FROM_CONFIG, _revision(config)))
    claims += dict.fromkeys(_of_card(documents.listing))
    return tuple(claims[:MAX_CLAIMS])


def choose_base(claims: tuple[Claim, ...]) -> Claim | None:
    """The one to go by: the configuration's, else that of the card, where that names one alone.

    A name that no repository can have (a path, an address) leaves it to the next.
    """
    usable = [claim for claim in claims if repository_of(claim.text)]
    if not usable:
        return None
    first = usable[0]
    alone = {claim.text.casefold() for claim in usable if claim.trust == first.trust}
    return first if len(alone) == 1 else None


def repository_of(text: str) -> str | None:
    """`vendor/name`, or only `name`, if the text is just that."""
    try:
        ref = ModelRef.parse(text)
    except InvalidReference:
        return None
    plain = not (ref.is_local or ref.source or ref.revision or ref.tags)
    return ref.id if plain else None


def _revision(config: Fields) -> str | None:
    text = config.text(REVISION)
    if not text:
        return None
    try:
        ref = ModelRef.parse(f"name@{text}")
    except InvalidReference:
        ref = None
    if ref is None or ref.tags:
        config.wrong(REVISION, "a branch, a tag or a commit")
        return None
    return ref.revision


def _of_card(listing: RepoListing) -> Iterator[Claim]:
    """By tag first: the hub derives `base_model:adapter:…` from card and relation."""
    tagged = [tag[len(TAG) :] for tag in listing.tags if tag.lower().startswith(TAG)]
    if tagged:
        yield from (Claim(text, "tag: base_model:adapter", FROM_CARD) for text in tagged)
        return
    said = listing.card.get("base_model")
    for text in said if isinstance(said, list) else [said]:
        if isinstance(text, str) and text and len(text) <= 300 and text.isprintable():
            yield Claim(text, "card: base_model", FROM_CARD)
