"""Frozen values that several rooms speak of.

Each is a pydantic model: checked when made, equal by value, JSON by `model_dump()`.
`str()` of a report is a table for people; `repr()` is one line.
"""

from modelhub.facts.adoption import AdoptedCommit, Adoption, Export, ExportedCommit, RejectedFile
from modelhub.facts.base import Fact, JsonDict, JsonValue, SummedFact
from modelhub.facts.blob import BlobRecord, BlobState, Proof
from modelhub.facts.call import Call, Progress, ProgressCallback, Token
from modelhub.facts.capabilities import StoreCapabilities
from modelhub.facts.code import CodeApproval, CodeFile
from modelhub.facts.collection import Collected, Collection, GarbageKind, Spared
from modelhub.facts.device import Device
from modelhub.facts.found import ModelEntry, ModelPage
from modelhub.facts.instance import (
    CallRecord,
    CallStatus,
    InstanceRecord,
    InstanceStatus,
    ProcessMark,
)
from modelhub.facts.job import Job, JobKind, JobStatus
from modelhub.facts.licenses import LicensePolicy
from modelhub.facts.memory import MemoryNeed, MemoryPart, MemoryTier
from modelhub.facts.model import Component, Evidence, Model, Report, RepoWarning, Variant
from modelhub.facts.moving import StoreMove
from modelhub.facts.plan import (
    Passed,
    PassedBy,
    Plan,
    PlannedFile,
    PlannedPart,
    RuntimeView,
)
from modelhub.facts.provenance import Provenance, WeightFile
from modelhub.facts.removal import Forgotten, KeptFile, Removal, StoredFile
from modelhub.facts.repo import (
    FileKind,
    RepoFile,
    RepoId,
    RepoListing,
    RepoRecord,
    RepoRef,
    SyncStatus,
)
from modelhub.facts.scrub import DamagedBlob, Scrub, UnreadBlob
from modelhub.facts.sharing import SharedFile, Sharing
from modelhub.facts.snapshot import Snapshot, SnapshotFile
from modelhub.facts.stock import FaultKind, StoreCheck, StoreFault
from modelhub.facts.usage import ComponentUsage, RepoUsage, Usage
from modelhub.facts.verification import FileState, Verification, VerifiedFile

__all__ = [
    "AdoptedCommit",
    "Adoption",
    "BlobRecord",
    "BlobState",
    "Call",
    "CallRecord",
    "CallStatus",
    "CodeApproval",
    "CodeFile",
    "Collected",
    "Collection",
    "Component",
    "ComponentUsage",
    "DamagedBlob",
    "Device",
    "Evidence",
    "Export",
    "ExportedCommit",
    "Fact",
    "FaultKind",
    "FileKind",
    "FileState",
    "Forgotten",
    "GarbageKind",
    "InstanceRecord",
    "InstanceStatus",
    "Job",
    "JobKind",
    "JobStatus",
    "JsonDict",
    "JsonValue",
    "KeptFile",
    "LicensePolicy",
    "MemoryNeed",
    "MemoryPart",
    "MemoryTier",
    "Model",
    "ModelEntry",
    "ModelPage",
    "Passed",
    "PassedBy",
    "Plan",
    "PlannedFile",
    "PlannedPart",
    "ProcessMark",
    "Progress",
    "ProgressCallback",
    "Proof",
    "Provenance",
    "RejectedFile",
    "Removal",
    "RepoFile",
    "RepoId",
    "RepoListing",
    "RepoRecord",
    "RepoRef",
    "RepoUsage",
    "RepoWarning",
    "Report",
    "RuntimeView",
    "Scrub",
    "SharedFile",
    "Sharing",
    "Snapshot",
    "SnapshotFile",
    "Spared",
    "StoreCapabilities",
    "StoreCheck",
    "StoreFault",
    "StoreMove",
    "StoredFile",
    "SummedFact",
    "SyncStatus",
    "Token",
    "UnreadBlob",
    "Usage",
    "Variant",
    "Verification",
    "VerifiedFile",
    "WeightFile",
]
