"""Reads the repositories that others build on, and binds these to their files.

Never within a job of the repository that refers to them: two that refer to each other would wait for
each other. Each is read by a sync of its own, which others may wait for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from modelhub.errors import (
    AccessDenied,
    FormatError,
    IntegrityError,
    InvalidInput,
    JobFailed,
    ModelHubError,
    NotFound,
    RepositoryNotFound,
    RevisionNotFound,
    SourceError,
)
from modelhub.facts import RepoId
from modelhub.refs import ModelRef
from modelhub.registry import Registry, Transaction
from modelhub.registry.binding import Known, Outcome, Problem, Reference, bind, references, unbind
from modelhub.registry.introspect import Findings

__all__ = ["MAX_DEPTH", "References", "Sync", "bound"]

MAX_DEPTH = 4
"""So many repositories may build on each other, one after another."""

MAX_SYNCS = 64
"""So many are asked for, at most, on account of one; of the rest is told that they were not read."""

Sync = Callable[[ModelRef], object]

_UNREAD = Problem("base.unread", "which was not read yet; sync this repository again")
_CYCLE = Problem("base.cycle", "which builds on this one itself: that has no end")
_DEEP = Problem("base.deep", f"and more than {MAX_DEPTH} repositories are behind it, one on another")

_PROBLEMS: tuple[tuple[tuple[type[ModelHubError], ...], str, str], ...] = (
    ((AccessDenied,), "base.gated", "which may only be read with a token of somebody who has access"),
    ((RepositoryNotFound, RevisionNotFound), "base.missing", "which is not there"),
    ((SourceError,), "base.unreachable", "which could not be asked for; sync this repository again"),
    (
        (FormatError, IntegrityError, InvalidInput, NotFound, JobFailed),
        "base.damaged",
        "which cannot be read",
    ),
)


class Node(NamedTuple):
    """A repository at a commit, in the registry."""

    record_id: int
    commit: str


@dataclass(frozen=True, slots=True)
class References:
    """Settles what repositories refer to, as far as that can be read."""

    registry: Registry

    def settle(self, record_id: int, commit: str, sync: Sync) -> None:
        """Read what a repository refers to and is not known, and bind it to that; and so on, first what is
        referred to. What is known already is not asked for.

        What cannot be read is told by a warning of the repository that refers to it.

        Raises:
            Cancelled, DeadlineExceeded, RegistryError: whatever is not the references' own fault.
        """
        walk = _Walk(self.registry, sync)
        walk.visit(Node(record_id, commit), 0)
        for node in walk.order:
            self._bind(node, walk.problems)

    def _bind(self, node: Node, problems: Mapping[Reference, Problem]) -> None:
        with self.registry.read() as tx:
            if _rebound(tx, node, problems) is None:
                return
        with self.registry.begin() as tx:
            findings = _rebound(tx, node, problems)
            if findings is not None:
                tx.models.renew(
                    *node, models=findings.models, evidence=findings.evidence, warnings=findings.warnings
                )


def bound(
    tx: Transaction,
    own: RepoId,
    commit: str,
    findings: Findings,
    problems: Mapping[Reference, Problem] = MappingProxyType({}),
) -> Findings:
    """What was found in a commit, with the files of other repositories as far as they are known here.

    `problems` says why some of them are not.
    """
    alone = unbind(own, findings)
    outcomes = {
        reference: _outcome(tx, (own.key, commit), reference, problems)
        for reference in references(own, alone.models)
    }
    return bind(own, alone, outcomes) if outcomes else findings


@dataclass
class _Walk:
    """Goes to everything that is referred to; `order` has what is referred to before what refers to it."""

    registry: Registry
    sync: Sync
    order: list[Node] = field(default_factory=list)
    problems: dict[Reference, Problem] = field(default_factory=dict)
    seen: set[Node] = field(default_factory=set)
    asked: int = 0

    def visit(self, node: Node, depth: int) -> None:
        if node in self.seen:
            return
        self.seen.add(node)
        with self.registry.read() as tx:
            wanted = _references(tx, node)
        if not wanted or depth == MAX_DEPTH:
            return  # what is known of one so far away stays as it is
        for reference in wanted:
            if (target := self._target(reference)) is not None:
                self.visit(target, depth + 1)
        self.order.append(node)

    def _target(self, reference: Reference) -> Node | None:
        found = self._known(reference)
        if found is None and reference not in self.problems and self.asked < MAX_SYNCS:
            self.asked += 1
            try:
                self.sync(reference.ref)
            except ModelHubError as error:
                self.problems[reference] = _problem(error)
            found = self._known(reference)
        return found

    def _known(self, reference: Reference) -> Node | None:
        with self.registry.read() as tx:
            return _node(tx, reference)


def _problem(error: ModelHubError) -> Problem:
    """What a failed sync says of a reference; what says nothing of it is raised again."""
    for kinds, code, text in _PROBLEMS:
        if isinstance(error, kinds):
            return Problem(code, f"{text} ({error.message})" if code == "base.damaged" else text)
    raise error


def _node(tx: Transaction, reference: Reference) -> Node | None:
    """What a reference means as far as is known here, if that was ever looked into."""
    repo = reference.id
    for record in tx.repos.find(repo.name, repo.vendor or None, repo.source):
        if record.repo.key == repo.key and (
            commit := tx.revisions.resolve(record.id, reference.revision)
        ):
            return Node(record.id, commit) if tx.models.is_known(record.id, commit) else None
    return None


def _references(tx: Transaction, node: Node) -> tuple[Reference, ...]:
    report = tx.models.report(*node)
    return references(tx.repos.get(node.record_id).repo, report.models) if report else ()


def _outcome(
    tx: Transaction,
    own: tuple[tuple[str, str, str], str],
    reference: Reference,
    problems: Mapping[Reference, Problem],
) -> Outcome:
    node = _node(tx, reference)
    if node is None:
        return problems.get(reference, _UNREAD)
    chain = _Chain(tx, own)
    chain.follow(node, 1)
    if chain.returns or chain.deep:
        return _CYCLE if chain.returns else _DEEP
    report, listing = tx.models.report(*node), tx.revisions.listing(*node)
    return Known(report, listing) if report and listing else _UNREAD


@dataclass
class _Chain:
    """Follows references by what is known here: whether they come back to `own`, or go too far."""

    tx: Transaction
    own: tuple[tuple[str, str, str], str]
    returns: bool = False
    deep: bool = False
    seen: set[Node] = field(default_factory=set)

    def follow(self, node: Node, depth: int) -> None:
        self.returns |= (self.tx.repos.get(node.record_id).repo.key, node.commit) == self.own
        if node in self.seen or self.returns or self.deep:
            return
        self.seen.add(node)
        further = _references(self.tx, node)
        # What comes then counts whether it is known or not: one sync finds the same as the next.
        self.deep = depth == MAX_DEPTH and bool(further)
        for reference in further:
            if (target := _node(self.tx, reference)) is not None:
                self.follow(target, depth + 1)


def _rebound(tx: Transaction, node: Node, problems: Mapping[Reference, Problem]) -> Findings | None:
    """What is to be written down of a commit; `None` where that is there already."""
    report = tx.models.report(*node)
    if report is None:
        return None
    before = Findings(report.models, report.facts, report.warnings)
    after = bound(tx, tx.repos.get(node.record_id).repo, node.commit, before, problems)
    return None if after == before else after
