"""Damage as it is told: which blob, what it was instead, whom it served."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from modelhub.errors import IntegrityError
from modelhub.refs import Digest
from modelhub.registry import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Damage:
    """A blob that held other bytes: the hash that it had, where they lie now, which repositories have it."""

    digest: Digest
    actual: str
    kept: str
    repos: tuple[str, ...]


def damage(registry: Registry, error: IntegrityError) -> Iterator[Damage]:
    """What a store's error says is damaged, each blob logged as `artifact_damaged`."""
    for each in error.details.get("damaged", ()):
        digest = Digest(each["sha256"])
        with registry.read() as tx:
            repos = tx.served.users(digest)
        fields = {"hash": digest, "actual": each["actual"], "quarantine_path": each["kept"]}
        log.error("artifact_damaged", extra={**fields, "repositories": list(repos)})
        yield Damage(digest, str(each["actual"]), str(each["kept"]), repos)
