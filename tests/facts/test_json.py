"""Every fact is JSON by `model_dump()`, and is made again from it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

import modelhub.facts
from modelhub.facts import (
    AdoptedCommit,
    Adoption,
    BlobRecord,
    BlobState,
    CallRecord,
    CallStatus,
    CodeApproval,
    CodeFile,
    Collected,
    Collection,
    Component,
    ComponentUsage,
    DamagedBlob,
    Device,
    Evidence,
    Export,
    ExportedCommit,
    Fact,
    FaultKind,
    FileKind,
    FileState,
    Forgotten,
    GarbageKind,
    InstanceRecord,
    Job,
    JobKind,
    JobStatus,
    KeptFile,
    LicensePolicy,
    MemoryNeed,
    MemoryPart,
    MemoryTier,
    Model,
    ModelEntry,
    ModelPage,
    Passed,
    Plan,
    PlannedFile,
    PlannedPart,
    ProcessMark,
    Progress,
    Proof,
    Provenance,
    RejectedFile,
    Removal,
    RepoFile,
    RepoId,
    RepoListing,
    RepoRecord,
    RepoRef,
    Report,
    RepoUsage,
    RepoWarning,
    RuntimeView,
    Scrub,
    SharedFile,
    Sharing,
    Snapshot,
    SnapshotFile,
    Spared,
    StoreCapabilities,
    StoreCheck,
    StoredFile,
    StoreFault,
    StoreMove,
    SummedFact,
    SyncStatus,
    UnreadBlob,
    Usage,
    Variant,
    Verification,
    VerifiedFile,
    WeightFile,
)
from modelhub.refs import Digest

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
COMMIT = "0" * 40
DIGEST = Digest("a" * 64)
REPO = RepoId(source="huggingface", vendor="Qwen", name="Qwen3")
FILE = RepoFile(path="x/a.gguf", size=3, sha256=DIGEST, kind=FileKind.MODEL)
PART = Component(name="model", repo=REPO.id, commit=COMMIT, files=(FILE,), folder="x")
VARIANT = Variant(name="q8_0", format="gguf", components=(PART,))
MODEL = Model(
    name="a", task="text-generation", category="llm", details={"layers": [1, None]}, variants=(VARIANT,)
)
WARNING = RepoWarning(code="gated", text="ask first")
NEEDED = MemoryPart(name="weights", bytes=2_000, sum="tensors")
EVIDENCE = Evidence(subject="a", key="license", value={"is": ["mit", 1.5]}, evidence="card", trust=30)
ENTRY = ModelEntry(repo=REPO.id, source=REPO.source, commit=COMMIT, name="a", task=MODEL.task)
PLANNED = PlannedFile(
    component="model", repo=REPO.id, path=FILE.path, size=3, sha256=DIGEST, present=True
)
PROOF = Proof(
    host="h", device=1, inode=1 << 60, size=3, mtime_ns=1 << 62, ctime_ns=1, recorded_ns=1 << 62
)
LINKED = SnapshotFile(path=FILE.path, size=3, sha256=DIGEST, link="hardlink")
VERIFIED = VerifiedFile(
    path=FILE.path, size=3, sha256=DIGEST, state=FileState.DAMAGED, found="b" * 64, kept="quarantine/a"
)
WEIGHTS = WeightFile(repo=REPO.id, path=FILE.path, sha256=DIGEST)

PROCESS = ProcessMark(host="h", boot_id="b", pid=1 << 22, started=1 << 40)
LOADED = InstanceRecord(
    source="huggingface",
    repo=REPO.id,
    commit=COMMIT,
    model="a",
    variant="q8_0",
    digest=DIGEST,
    config=DIGEST,
    filename=FILE.path,
    runtime="echo",
    runtime_version="1",
    device="cpu",
    predicted_bytes=1 << 40,
    measured_bytes=None,
    process=PROCESS,
)
CALLED = CallRecord(
    timestamp=NOW,
    request_id="r",
    task="text-generation",
    repo=REPO.id,
    latency_ms=1.5,
    timings={"acquire_ms": 0.5},
    status=CallStatus.OK,
)

SHARED_FILE = SharedFile(
    path=FILE.path, size=3, sha256=DIGEST, other_path=FILE.path, components=("model",)
)
SHARING = Sharing(repo="c/d", source="huggingface", files=(SHARED_FILE,))
PASSED = Passed(
    variant="fp16",
    format="gguf",
    precision="fp16",
    bytes=9,
    reason="does_not_fit",
    text="fp16 is large",
    needed=9,
    free=5,
)

STORED = StoredFile(path=FILE.path, size=3, sha256=DIGEST)
SHARED = KeptFile(path=FILE.path, size=3, sha256=DIGEST, users=("a/b",))
CODE = CodeFile(path="own.py", size=3, sha256=DIGEST)

GONE = Collected(
    kind=GarbageKind.BLOB, path="blobs/x", bytes=3, age=1.5, reason="nobody has it", digest=DIGEST
)
LEFT = Spared(reason="reading", files=1, bytes=3)
WEIGHED = ComponentUsage(name="vae", files=1, bytes=3)
HAD = RepoUsage(
    repo=REPO.id,
    source=REPO.source,
    forgotten=False,
    files=1,
    bytes=3,
    own=2,
    components=(WEIGHED,),
    last_used=NOW,
)
DAMAGED = DamagedBlob(sha256=DIGEST, found="x", kept="quarantine/x", repaired=True)
UNREAD = UnreadBlob(sha256=DIGEST, reason="EIO")
REJECTED = RejectedFile(path="refs/main", reason="a link")
ADOPTED = AdoptedCommit(repo=REPO.id, commit=COMMIT, adopted=1, present=2, bytes=3, known=True)
EXPORTED = ExportedCommit(repo=REPO.id, commit=COMMIT, path=Path("/c"), files=1, bytes=2, copied_bytes=0)
FAULT = StoreFault(kind=FaultKind.MISSING, path="blobs/x", reason="the file is gone")
SAMPLES = (
    REJECTED,
    ADOPTED,
    EXPORTED,
    FAULT,
    Adoption(cache="/c", store="file:///s", commits=(ADOPTED,), bytes=3, rejected=(REJECTED,)),
    Export(cache="/c", commits=(EXPORTED,)),
    StoreCapabilities(hardlink=True, symlink=True, reflink=False, locks=True, verity=False),
    StoreCheck(store="file:///s", blobs=1, bytes=2, files=3, hashed=0, faults=(FAULT,)),
    StoreMove(source="file:///s", target="s3://b/p", copied=1, copied_bytes=2, lost=(DIGEST,)),
    GONE,
    LEFT,
    Collection(store="file:///s", dry_run=True, items=(GONE,), kept=(LEFT,), missing=(DIGEST,)),
    WEIGHED,
    HAD,
    Usage(
        store="file:///s",
        files=1,
        bytes=3,
        used=3,
        saved=0,
        repos=(HAD,),
        copies=1,
        parts=0,
        quarantine=0,
        disk=4096,
        free=1 << 40,
    ),
    DAMAGED,
    UNREAD,
    Scrub(store="s", checked=1, bytes=3, damaged=(DAMAGED,), unread=(UNREAD,), complete=True),
    Forgotten(repo=REPO.id, source=REPO.source, files=1, bytes=3),
    STORED,
    SHARED,
    Removal(
        repo=REPO.id,
        source=REPO.source,
        dry_run=True,
        commits=1,
        models=2,
        removed=(STORED,),
        kept=(SHARED,),
        folders=("snapshots/a/b/c",),
        elsewhere=("file:///x on h",),
    ),
    LicensePolicy(refuse=("license.conflict",), allow=("mit",)),
    CODE,
    CodeApproval(repo=REPO.id, commit=COMMIT, path=Path("/x"), files=(CODE,)),
    PROCESS,
    LOADED,
    CALLED,
    REPO,
    FILE,
    PART,
    VARIANT,
    MODEL,
    WARNING,
    EVIDENCE,
    PASSED,
    PLANNED,
    PlannedPart(component="model", repo=REPO.id, bytes=3, fetch_bytes=1, reuse_bytes=2),
    PROOF,
    LINKED,
    VERIFIED,
    WEIGHTS,
    BlobRecord(
        digest=DIGEST, size=3, state=BlobState.PRESENT, path="blobs/a", proof=PROOF, verified_at=NOW
    ),
    Device(name="cpu", kind="cpu", memory_total=1 << 40, memory_free=1),
    Job(
        id=1,
        kind=JobKind.REPO_SYNC,
        status=JobStatus.FAILED,
        key="k",
        input={"ref": "a"},
        error={"code": "offline"},
        created_at=NOW,
        finished_at=NOW,
    ),
    ENTRY,
    ModelPage(models=(ENTRY,), next="m1"),
    Plan(
        repo=REPO.id,
        commit=COMMIT,
        task=MODEL.task,
        model=MODEL,
        choice=VARIANT,
        runtime=None,
        device="cpu",
        need=MemoryNeed(tier=MemoryTier.HEADER, parts=(NEEDED,)),
        memory_free=9,
        fits=True,
        files=(PLANNED,),
        passed=(PASSED,),
        disk_needed=3,
        disk_free=None,
        why=("best",),
        steps=(),
        warnings=(WARNING,),
    ),
    Progress(stage="infer", done=1, total=2, unit="steps", preview=bytes(range(256))),
    Provenance(
        repo=REPO.id,
        commit=COMMIT,
        model="a",
        variant="q8_0",
        runtime="echo",
        runtime_version="1",
        device="cpu",
        files=(WEIGHTS,),
    ),
    RepoListing(
        repo=REPO,
        commit=COMMIT,
        revision="main",
        files=(FILE,),
        source_uri="https://huggingface.co/Qwen/Qwen3",
        card={"tags": ["x"]},
        last_modified=NOW,
    ),
    RepoRecord(
        id=1,
        repo=REPO,
        source_uri="https://huggingface.co/Qwen/Qwen3",
        sync_status=SyncStatus.ERROR,
        sync_error={"code": "offline"},
        created_at=NOW,
        last_synced_at=NOW,
    ),
    NEEDED,
    MemoryNeed(tier=MemoryTier.HEADER, parts=(NEEDED,)),
    SHARED_FILE,
    SHARING,
    RepoRef(name="main", commit=COMMIT, first_seen_at=NOW, last_seen_at=NOW),
    Report(
        repo=REPO.id,
        source="huggingface",
        commit=COMMIT,
        warnings=(WARNING,),
        models=(MODEL,),
        facts=(EVIDENCE,),
        shared=(SHARING,),
    ),
    Verification(repo=REPO.id, commit=COMMIT, files=(VERIFIED,), absent=2),
    RuntimeView(name="echo", tasks=("text-generation",), formats=("gguf",)),
    Snapshot(repo=REPO.id, commit=COMMIT, path=Path("/data/a b"), files=(LINKED,)),
)


def test_there_is_a_sample_of_each_kind():
    public = {getattr(modelhub.facts, name) for name in modelhub.facts.__all__}
    kinds = {kind for kind in public if isinstance(kind, type) and issubclass(kind, Fact)}
    assert {type(sample) for sample in SAMPLES} == kinds - {Fact, SummedFact}


@pytest.mark.parametrize("fact", SAMPLES, ids=lambda fact: type(fact).__name__)
def test_a_fact_is_json_and_is_made_again_from_it(fact):
    kind = type(fact)
    dumped = fact.model_dump()
    read = json.loads(json.dumps(dumped))
    assert read == dumped == json.loads(fact.model_dump_json())
    assert kind.model_validate(dumped) == fact
    assert kind(**dumped) == fact
    assert kind.model_validate_json(json.dumps(dumped)) == fact
    assert kind.model_validate(fact.model_dump(mode="python")) == fact


def test_pythons_own_values_and_the_other_arguments_are_still_there():
    snapshot = SAMPLES[-1]
    assert snapshot.model_dump(mode="python", include={"path"}) == {"path": Path("/data/a b")}
    assert snapshot.model_dump(include={"path"}) == {"path": "/data/a b"}
    assert "fetched_bytes" not in snapshot.model_dump(exclude_defaults=True)


def test_a_preview_that_is_no_base64_is_refused():
    with pytest.raises(ValueError, match="preview"):
        Progress(stage="infer", done=1, preview="é")
