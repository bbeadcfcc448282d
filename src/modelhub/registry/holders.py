"""Who holds a repository right now: loaded models, running jobs, leases on its bytes."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from modelhub.facts import JobKind
from modelhub.registry.job_states import BRINGING, at_work
from modelhub.registry.statements import batches, now, steady
from modelhub.registry.tables import (
    ComponentFileRow,
    ComponentRow,
    InstanceRow,
    JobRow,
    LeaseArtifactRow,
    LeaseRepoRow,
    LeaseRow,
    ModelRow,
    RepoFileRow,
    RepoRow,
    RevisionRow,
    VariantRow,
)
from modelhub.registry.tables.work import LIVE_STATES

__all__ = ["holders"]


def holders(session: Session, repo: RepoRow, artifacts: Sequence[int]) -> list[str]:
    """A sentence for each; what has died, or let its lease run out, holds nothing."""
    return [
        *_loaded(session, repo),
        *_working(session, repo),
        *_held(session, repo),
        *_leased(session, artifacts),
    ]


def _loaded(session: Session, repo: RepoRow) -> Iterator[str]:
    """Models of the repository, and models of others that have parts of it."""
    parts = _with_parts(repo)
    found = (
        select(InstanceRow)
        .outerjoin(VariantRow, InstanceRow.model_variant_id == VariantRow.id)
        .join(
            ModelRow,
            or_(InstanceRow.logical_model_id == ModelRow.id, VariantRow.logical_model_id == ModelRow.id),
        )
        .join(RevisionRow, ModelRow.revision_id == RevisionRow.id)
        .where(
            or_(RevisionRow.model_repo_id == repo.id, VariantRow.id.in_(parts)),
            InstanceRow.status.in_(LIVE_STATES),
            InstanceRow.lease_until >= now(session),
        )
        .order_by(InstanceRow.id)
    )
    for row in session.scalars(found):
        yield f"{row.runtime_type} has {row.model_filename} loaded in process {row.pid} on {row.host}"


def _working(session: Session, repo: RepoRow) -> Iterator[str]:
    """Fetches of it, and every sync: which bytes a sync has stored is known only when it ends."""
    found = select(JobRow).where(at_work(BRINGING, steady(session)))
    for row in session.scalars(found.order_by(JobRow.id)):
        if row.kind == JobKind.REPO_SYNC:
            yield f"job {row.id} reads {row.input.get('ref')}"
        elif row.input.get("repo") == repo.model_repo_name:
            yield f"job {row.id} fetches it"


def _with_parts(repo: RepoRow) -> Select[int]:
    """The variants that have files of a repository."""
    return (
        select(ComponentRow.model_variant_id)
        .join(ComponentFileRow, ComponentFileRow.component_id == ComponentRow.id)
        .join(RepoFileRow, ComponentFileRow.repo_file_id == RepoFileRow.id)
        .where(RepoFileRow.model_repo_id == repo.id)
    )


def _held(session: Session, repo: RepoRow) -> Iterator[str]:
    """Who pulls or loads it, or a repository that builds on it."""
    building = (
        select(RevisionRow.model_repo_id)
        .join(ModelRow, ModelRow.revision_id == RevisionRow.id)
        .join(VariantRow, VariantRow.logical_model_id == ModelRow.id)
        .where(VariantRow.id.in_(_with_parts(repo)))
    )
    found = (
        select(LeaseRow.owner, LeaseRow.purpose)
        .join(LeaseRepoRow, LeaseRepoRow.lease_id == LeaseRow.id)
        .where(
            or_(LeaseRepoRow.model_repo_id == repo.id, LeaseRepoRow.model_repo_id.in_(building)),
            LeaseRow.expires_at >= now(session),
        )
        .distinct()
        .order_by(LeaseRow.owner, LeaseRow.purpose)
    )
    yield from (f"{owner} is {purpose}" for owner, purpose in session.execute(found))


def _leased(session: Session, artifacts: Sequence[int]) -> Iterator[str]:
    found: set[tuple[str, str]] = set()
    for batch in batches(artifacts):
        held = (
            select(LeaseRow.owner, LeaseRow.purpose)
            .join(LeaseArtifactRow, LeaseArtifactRow.lease_id == LeaseRow.id)
            .where(LeaseArtifactRow.artifact_id.in_(batch), LeaseRow.expires_at >= now(session))
        )
        found |= {(owner, purpose) for owner, purpose in session.execute(held)}
    yield from (f"{owner} holds some of its bytes for {purpose}" for owner, purpose in sorted(found))
