"""Python code of repositories: which of it the user has allowed to run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from modelhub.errors import InvalidInput, RemoteCodeRefused
from modelhub.facts import Call, CodeApproval, CodeFile, Plan, ProgressCallback, Snapshot, Variant
from modelhub.hub.pulling import Puller
from modelhub.hub.resolve import Target
from modelhub.refs import Digest, RepoPath
from modelhub.registry import Registry

CODE = "code"
"""The component with the Python files that a repository asks to have run."""


@dataclass(frozen=True, slots=True)
class CodeGate:
    """Lets code run only at the commit, and with the bytes, for which the user said so."""

    registry: Registry
    puller: Puller

    def allow(self, target: Target, call: Call, on_progress: ProgressCallback | None) -> CodeApproval:
        """Fetch the code, and allow just these bytes at this commit.

        Raises:
            InvalidInput: when the repository asks to run none.
        """
        repo, commit = target.report.repo, target.commit
        paths = sorted({path for model in target.report.models for path in _code(model.variants)})
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
        """Allow nothing of this commit any more; whether anything was."""
        with self.registry.begin() as tx:
            return tx.approvals.revoke(target.record.id, target.commit)

    def refusal(self, target: Target, plan: Plan) -> RemoteCodeRefused | None:
        """Why the plan's variant may not run, before anything is fetched."""
        wanted = set(_code([plan.choice]))
        missing = sorted(wanted - set(self._allowed(target))) if wanted else []
        return _refused(plan, missing) if missing else None

    def admit(self, target: Target, plan: Plan, pulled: Snapshot) -> bool:
        """Whether the variant has code, all of which is what was allowed.

        Raises:
            RemoteCodeRefused: when some of it is not.
        """
        wanted = set(_code([plan.choice]))
        if not wanted:
            return False
        allowed, found = self._allowed(target), _digests(pulled, wanted)
        wrong = sorted(path for path in wanted if allowed.get(path) != found.get(path, ""))
        if wrong:
            raise _refused(plan, wrong)
        return True

    def _allowed(self, target: Target) -> Mapping[str, Digest]:
        with self.registry.read() as tx:
            return tx.approvals.find(target.record.id, target.commit)


def _code(variants: Iterable[Variant]) -> list[RepoPath]:
    return [
        file.path
        for variant in variants
        for part in variant.components
        if part.name == CODE
        for file in part.files
    ]


def _digests(pulled: Snapshot, paths: Iterable[str]) -> dict[str, Digest]:
    wanted = set(paths)
    return {file.path: file.sha256 for file in pulled.files if file.path in wanted}


def _refused(plan: Plan, paths: Sequence[str]) -> RemoteCodeRefused:
    shown = ", ".join(paths[:5]) + (" …" if len(paths) > 5 else "")
    return RemoteCodeRefused(
        f"{plan.repo} asks to run Python code of its own, which was not allowed at {plan.commit[:12]}: "
        f"{shown}",
        hint=f"Read it; then allow it for this commit: modelhub allow-code {plan.repo}",
        files=list(paths),
    )
