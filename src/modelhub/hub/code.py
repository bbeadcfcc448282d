"""Python code of repositories: which of it the user has allowed to run."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
        paths = any(_code(every)) and _paths(self.licenses.admitted(target.report))
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
        wanted = list(_code([variant]))
        if not wanted:
            return None
        allowed = self._allowed(target)
        wrong = sorted(file.path for file in wanted if not _allows(allowed, file))
        return _refused(target, wrong) if wrong else None

    def admit(self, target: Target, plan: Plan, pulled: Snapshot) -> bool:
        """Whether the variant has code, all of which is what was allowed.

        Raises:
            RemoteCodeRefused: when some of it is not.
        """
        wanted = {file.path for file in _code([plan.choice])}
        if not wanted:
            return False
        allowed, found = self._allowed(target), _digests(pulled, wanted)
        wrong = sorted(path for path in wanted if allowed.get(path) != found.get(path, ""))
        if wrong:
            raise _refused(target, wrong)
        return True

    def _allowed(self, target: Target) -> Mapping[str, Digest]:
        with self.registry.read() as tx:
            return tx.approvals.find(target.record.id, target.commit)


def _code(variants: Iterable[Variant]) -> Iterator[RepoFile]:
    for variant in variants:
        for part in variant.components:
            if part.name == CODE:
                yield from part.files


def _paths(variants: Iterable[Variant]) -> list[RepoPath]:
    return sorted({file.path for file in _code(variants)})


def _allows(allowed: Mapping[str, Digest], file: RepoFile) -> bool:
    """Whether a file is allowed, as far as its bytes are known."""
    digest = allowed.get(file.path)
    return digest is not None and file.sha256 in (None, digest)


def _digests(pulled: Snapshot, paths: Iterable[str]) -> dict[str, Digest]:
    wanted = set(paths)
    return {file.path: file.sha256 for file in pulled.files if file.path in wanted}


def _refused(target: Target, paths: Sequence[str]) -> RemoteCodeRefused:
    repo = target.report.repo
    shown = ", ".join(paths[:5]) + (" …" if len(paths) > 5 else "")
    return RemoteCodeRefused(
        f"{repo} asks to run Python code of its own, which was not allowed at {target.commit[:12]}: {shown}",
        hint=f"Read it; then allow it for this commit: modelhub allow-code {repo}",
        files=list(paths),
    )
