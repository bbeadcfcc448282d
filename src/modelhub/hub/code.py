"""Python code of repositories: which of it the user has allowed to run."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakSet

from modelhub.errors import InvalidInput, RemoteCodeRefused
from modelhub.facts import (
    Call,
    CodeApproval,
    CodeFile,
    Plan,
    ProgressCallback,
    RepoFile,
    Snapshot,
    Variant,
)
from modelhub.hub.licenses import LicenseGate
from modelhub.hub.places import Place, own_place, place_of
from modelhub.hub.pulling import Puller
from modelhub.hub.resolve import Target
from modelhub.refs import Digest, RepoPath
from modelhub.registry import Registry
from modelhub.runtimes import Instance

CODE = "code"
"""The component with the Python files that a repository asks to have run."""


class RunningCode:
    """The loaded models that run a repository's code, by commit. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[tuple[int, str], WeakSet[Instance]] = {}

    def add(self, target: Target, instance: Instance) -> None:
        """This one runs code of the repository at its commit."""
        with self._lock:
            self._running.setdefault((target.record.id, target.commit), WeakSet()).add(instance)

    def end(self, target: Target) -> None:
        """Close all of a commit. What they are working on ends with an error."""
        with self._lock:
            running = list(self._running.pop((target.record.id, target.commit), ()))
        for instance in running:
            instance.close()


@dataclass(frozen=True, slots=True)
class CodeGate:
    """Lets code run only at the commit, and with the bytes, for which the user said so."""

    registry: Registry
    puller: Puller
    licenses: LicenseGate
    running: RunningCode = field(default_factory=RunningCode)

    def allow(self, target: Target, call: Call, on_progress: ProgressCallback | None) -> CodeApproval:
        """Fetch the code, and allow just these bytes at this commit.

        Raises:
            InvalidInput: when the repository asks to run none.
            LicenseRefused: when the Hub's policy refuses all of its variants; code of one that it refuses
                is not fetched.
        """
        repo, commit = target.report.repo, target.commit
        every = (variant for model in target.report.models for variant in model.variants)
        paths = any(_own(target, every)) and _paths(target, self.licenses.admitted(target.report))
        if not paths:
            raise InvalidInput(
                f"{repo} asks to run no code of its own at {commit[:12]}",
                hint="There is nothing to allow.",
                field="model",
            )
        pulled = self.puller.pull(target, {"model": CODE, "variant": CODE}, paths, call, on_progress)
        digests = _digests(pulled, paths)
        with self.registry.begin() as tx:
            tx.approvals.allow(target.record.id, commit, digests)
        files = tuple(
            CodeFile(path=file.path, size=file.size, sha256=file.sha256)
            for file in pulled.files
            if file.path in digests
        )
        return CodeApproval(repo=repo, commit=commit, path=pulled.path, files=files)

    def revoke(self, target: Target) -> bool:
        """Allow nothing of this commit any more, and end what runs of it; whether anything was allowed."""
        with self.registry.begin() as tx:
            revoked = tx.approvals.revoke(target.record.id, target.commit)
        self.running.end(target)
        return revoked

    def refusal(self, target: Target, plan: Plan) -> RemoteCodeRefused | None:
        """Why the plan's variant may not run; its files need not be here. Asks nobody about one without code."""
        return self.variant_refusal(target, plan.choice)

    def variant_refusal(self, target: Target, variant: Variant) -> RemoteCodeRefused | None:
        """Why a variant may not run, for its code."""
        for place, files in _code(target, [variant]).items():
            allowed = self._allowed(target, place)
            if wrong := sorted(file.path for file in files if not _allows(allowed, file)):
                return _refused(target, place, wrong)
        return None

    def admit(self, target: Target, plan: Plan, pulled: Mapping[Place, Snapshot]) -> bool:
        """Whether the variant has code, all of which is what was allowed.

        Raises:
            RemoteCodeRefused: when some of it is not.
        """
        code = _code(target, [plan.choice])
        for place, files in code.items():
            wanted = {file.path for file in files}
            allowed, found = self._allowed(target, place), _digests(pulled[place], wanted)
            wrong = sorted(path for path in wanted if allowed.get(path) != found.get(path, ""))
            if wrong:
                raise _refused(target, place, wrong)
        return bool(code)

    def _allowed(self, target: Target, place: Place) -> Mapping[str, Digest]:
        """What is allowed of a repository at a commit: of whichever the code is."""
        if place == own_place(target.report):
            with self.registry.read() as tx:
                return tx.approvals.find(target.record.id, target.commit)
        repo = place.id
        with self.registry.read() as tx:
            found = tx.repos.find(repo.name, repo.vendor or None, repo.source)
            record = next((each for each in found if each.repo.key == repo.key), None)
            return tx.approvals.find(record.id, place.commit) if record else {}


def _code(target: Target, variants: Iterable[Variant]) -> dict[Place, list[RepoFile]]:
    """The files of code, by the repositories that bring them."""
    found: dict[Place, list[RepoFile]] = {}
    for variant in variants:
        for part in variant.components:
            if part.name == CODE and part.files:
                found.setdefault(place_of(target.report, part), []).extend(part.files)
    return found


def _own(target: Target, variants: Iterable[Variant]) -> list[RepoFile]:
    return _code(target, variants).get(own_place(target.report), [])


def _paths(target: Target, variants: Iterable[Variant]) -> list[RepoPath]:
    return sorted({file.path for file in _own(target, variants)})


def _allows(allowed: Mapping[str, Digest], file: RepoFile) -> bool:
    """Whether a file is allowed, as far as its bytes are known."""
    digest = allowed.get(file.path)
    return digest is not None and file.sha256 in (None, digest)


def _digests(pulled: Snapshot, paths: Iterable[str]) -> dict[str, Digest]:
    wanted = set(paths)
    return {file.path: file.sha256 for file in pulled.files if file.path in wanted}


def _refused(target: Target, place: Place, paths: Sequence[str]) -> RemoteCodeRefused:
    named = place.repo if place == own_place(target.report) else f"{place.repo}@{place.commit[:12]}"
    shown = ", ".join(paths[:5]) + (" …" if len(paths) > 5 else "")
    return RemoteCodeRefused(
        f"{place.repo} asks to run Python code of its own, which was not allowed at {place.commit[:12]}: "
        f"{shown}",
        hint=f"Read it; then allow it for this commit: modelhub allow-code {named}",
        files=list(paths),
    )
