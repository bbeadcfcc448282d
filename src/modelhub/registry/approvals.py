"""Code of repositories that the user has read and allowed: at one commit, these very bytes."""

from collections.abc import Mapping

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from modelhub.errors import RevisionNotFound
from modelhub.refs import Digest
from modelhub.registry.statements import now
from modelhub.registry.tables import CodeApprovalRow, RevisionRow

__all__ = ["Approvals"]


class Approvals:
    """Which files of a commit may run, by their hashes."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def allow(self, record_id: int, commit: str, files: Mapping[str, Digest]) -> None:
        """Allow these files of a commit, in place of what was allowed of it.

        Raises:
            RevisionNotFound: for a commit that was never listed.
        """
        revision = self._revision(record_id, commit)
        if revision is None:
            raise RevisionNotFound(f"commit {commit} was never listed", hint="Sync it first.")
        self.revoke(record_id, commit)
        moment = now(self._session)
        self._session.add_all(
            CodeApprovalRow(revision_id=revision, file_path=path, sha256=digest, approved_at=moment)
            for path, digest in sorted(files.items())
        )
        self._session.flush()

    def revoke(self, record_id: int, commit: str) -> bool:
        """Allow nothing of a commit any more; whether anything was."""
        mine = CodeApprovalRow.revision_id == self._revision(record_id, commit)
        gone = self._session.scalars(delete(CodeApprovalRow).where(mine).returning(CodeApprovalRow.id))
        return bool(gone.all())

    def find(self, record_id: int, commit: str) -> Mapping[str, Digest]:
        """What is allowed of a commit: hashes by path."""
        mine = CodeApprovalRow.revision_id == self._revision(record_id, commit)
        rows = self._session.scalars(select(CodeApprovalRow).where(mine))
        return {row.file_path: Digest(row.sha256) for row in rows}

    def _revision(self, record_id: int, commit: str) -> int | None:
        return self._session.scalar(
            select(RevisionRow.id).where(
                RevisionRow.model_repo_id == record_id, RevisionRow.commit_hash == commit
            )
        )
