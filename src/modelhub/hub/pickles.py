"""Weights in pickles: whose digests the caller trusts, and what a scanner says of them."""

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelhub.errors import InvalidInput
from modelhub.facts import Component, Plan, PlannedFile, Report, RepoWarning
from modelhub.formats import PICKLE_SUFFIXES
from modelhub.hub.scanning import Scan, scan_pickle
from modelhub.refs import Digest
from modelhub.registry.introspect.weights import PICKLED
from modelhub.store import Store

log = logging.getLogger(__name__)

Trust = str | Iterable[str]

_KEPT = 10_000
"""Files of which what the scanner said is remembered."""


def read_trust(given: Trust | None) -> frozenset[Digest]:
    """The digests that a caller names: `sha256:…` or only its digits, one or several.

    Raises:
        InvalidInput: for anything else.
    """
    if given is None:
        return frozenset()
    named = [given] if isinstance(given, str) else given
    try:
        return frozenset(Digest(text.removeprefix("sha256:")) for text in named)
    except (InvalidInput, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"trust must be the SHA-256 of a file, or several, not {given!r:.100}",
            hint='Such as trust="sha256:9f86d081…", with all 64 digits: an error that asks for it names it.',
            field="trust",
        ) from error


def pickles_of(plan: Plan) -> tuple[PlannedFile, ...]:
    """The plan's files that are pickles, by what the variant says and what they are called."""
    names = {part.name for part in plan.components if PICKLED in (part.format, plan.choice.format)}
    return tuple(file for file in plan.weights if file.component in names and _is_pickle(file.path))


@dataclass(frozen=True, slots=True)
class PickleGate:
    """Says which pickles are trusted, and has each scanned. Safe to use from several threads.

    What the scanner says is advice for people: it changes no decision.
    """

    store: Store
    _scans: dict[Digest, Scan] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def marked(self, plan: Plan, trust: frozenset[Digest]) -> Plan:
        """The plan with what is known of its pickles, and which of them are trusted.

        Raises:
            InvalidInput: for a digest that none of them has.
        """
        pickles = pickles_of(plan)
        _check_trust(plan, pickles, trust)
        why = [
            f"{file.path} is trusted: it may run code, in a process of its own"
            for file in pickles
            if file.sha256 in trust
        ]
        told = self._told((str(file.path), file.sha256) for file in pickles)
        if not why and not told:
            return plan
        update = {"why": (*plan.why, *why), "warnings": (*plan.warnings, *told)}
        return plan.model_copy(update=update)

    def told(self, report: Report) -> Report:
        """The report with what is known of the pickles that are here."""
        parts = (
            (part, variant.format == PICKLED)
            for model in report.models
            for variant in model.variants
            for part in variant.components
        )
        files = (
            file for part, whole in parts if whole or part.format == PICKLED for file in _files(part)
        )
        told = self._told(dict.fromkeys(files))
        return report.model_copy(update={"warnings": (*report.warnings, *told)}) if told else report

    def scan(self, plan: Plan, roots: Mapping[str, Path]) -> None:
        """Have each pickle scanned before it is loaded, whatever comes of it. `roots` are their folders."""
        for file in pickles_of(plan):
            scan = self._scan(file.sha256, roots[file.component] / file.path)
            fields = {"model_repo_name": file.repo, "path": file.path, "label": scan.label}
            log.info("pickle_scanned", extra=fields)

    def _told(self, files: Iterable[tuple[str, Digest | None]]) -> tuple[RepoWarning, ...]:
        here = [(path, digest, self.store.path(digest)) for path, digest in files if digest]
        scans = ((path, self._scan(digest, place)) for path, digest, place in here if place.is_file())
        return tuple(RepoWarning(code="pickle.scan", text=f"{path}: {scan}") for path, scan in scans)

    def _scan(self, digest: Digest | None, path: Path) -> Scan:
        with self._lock:
            known = self._scans.get(digest) if digest else None
        if known is None:
            known = scan_pickle(path)
            with self._lock:
                if digest and len(self._scans) < _KEPT:
                    self._scans[digest] = known
        return known


def _files(part: Component) -> Iterator[tuple[str, Digest | None]]:
    return ((str(file.path), file.sha256) for file in part.files if _is_pickle(file.path))


def _is_pickle(path: str) -> bool:
    return path.lower().endswith(PICKLE_SUFFIXES)


def _check_trust(plan: Plan, pickles: Iterable[PlannedFile], trust: frozenset[Digest]) -> None:
    known = {file.sha256 for file in pickles}
    if None in known or trust <= known:  # a source may tell no hashes before the files are here
        return
    named = ", ".join(sorted(f"sha256:{digest}" for digest in trust - known))
    hint = ", ".join(f"{file.path} is sha256:{file.sha256}" for file in pickles)
    raise InvalidInput(
        f"trust: {named} is no pickle of {plan.repo}:{plan.variant}",
        hint=f"{hint}." if hint else "It holds no pickles: leave trust out.",
        field="trust",
    )
