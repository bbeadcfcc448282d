"""Every table. Only the registry imports this; rows never leave it.

Columns are named as in the first design; docs/explanation/design.md has the table of what moved.
"""

from modelhub.registry.tables.artifacts import (
    ArtifactLocationRow,
    ArtifactProofRow,
    ArtifactRow,
    FetchClaimRow,
    LeaseArtifactRow,
    LeaseRepoRow,
    LeaseRow,
    SnapshotFileRow,
    SnapshotRow,
    StoreRow,
)
from modelhub.registry.tables.base import Row
from modelhub.registry.tables.listed import ListedModelRow, ListedWordRow
from modelhub.registry.tables.models import (
    ComponentFileRow,
    ComponentRow,
    FactRow,
    ModelRow,
    VariantRow,
)
from modelhub.registry.tables.repos import (
    CodeApprovalRow,
    RefRow,
    RepoFileRow,
    RepoRow,
    RevisionRow,
    VendorRow,
)
from modelhub.registry.tables.work import FootprintRow, InferenceLogRow, InstanceRow, JobRow

__all__ = [
    "ArtifactLocationRow",
    "ArtifactProofRow",
    "ArtifactRow",
    "CodeApprovalRow",
    "ComponentFileRow",
    "ComponentRow",
    "FactRow",
    "FetchClaimRow",
    "FootprintRow",
    "InferenceLogRow",
    "InstanceRow",
    "JobRow",
    "LeaseArtifactRow",
    "LeaseRepoRow",
    "LeaseRow",
    "ListedModelRow",
    "ListedWordRow",
    "ModelRow",
    "RefRow",
    "RepoFileRow",
    "RepoRow",
    "RevisionRow",
    "Row",
    "SnapshotFileRow",
    "SnapshotRow",
    "StoreRow",
    "VariantRow",
    "VendorRow",
]
