"""Leases on repositories: while one holds, no purge takes the repository. All times are the database's."""

from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from modelhub.errors import RepositoryNotFound
from modelhub.registry.artifacts import StoreKey, store_id
from modelhub.registry.statements import now
from modelhub.registry.tables import LeaseRepoRow, LeaseRow, RepoRow

__all__ = ["Leases"]


class Leases:
    """Who needs a repository, and until when."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def take(
        self, record_id: int, *, store: StoreKey, owner: str, host: str, purpose: str, seconds: float
    ) -> int:
        """Hold a repository as `owner` of `host` for `seconds`; the lease's number.

        Raises:
            RepositoryNotFound: when it was purged since it was found.
        """
        # Locked, so that a purge in the same moment either sees the lease or is seen.
        found = select(RepoRow.id).where(RepoRow.id == record_id)
        if self._session.scalar(found.with_for_update(key_share=True, read=True)) is None:
            raise RepositoryNotFound(
                "the repository was purged meanwhile", hint="Ask for it again.", field="model"
            )
        until = now(self._session) + timedelta(seconds=seconds)
        home = store_id(self._session, store)
        lease = LeaseRow(store_id=home, owner=owner, host=host, purpose=purpose, expires_at=until)
        self._session.add(lease)
        self._session.flush()
        self._session.add(LeaseRepoRow(lease_id=lease.id, model_repo_id=record_id))
        self._session.flush()
        return lease.id

    def renew(self, number: int, seconds: float) -> None:
        """Hold it for `seconds` from now."""
        until = now(self._session) + timedelta(seconds=seconds)
        self._session.execute(update(LeaseRow).where(LeaseRow.id == number).values(expires_at=until))

    def release(self, number: int) -> None:
        """It is not needed any more."""
        self._session.execute(delete(LeaseRow).where(LeaseRow.id == number))

    def owners(self) -> tuple[tuple[int, str], ...]:
        """The leases with their owners, also those that are over."""
        found = select(LeaseRow.id, LeaseRow.owner).order_by(LeaseRow.id)
        return tuple((number, owner) for number, owner in self._session.execute(found))

    def expire(self) -> None:
        """Forget those that are over."""
        self._session.execute(delete(LeaseRow).where(LeaseRow.expires_at < now(self._session)))
