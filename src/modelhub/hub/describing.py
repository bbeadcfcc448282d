"""What is written down of an answer and of a loaded model."""

from hashlib import sha256

from modelhub.errors import IntegrityError
from modelhub.facts import InstanceRecord, Plan, Provenance, WeightFile
from modelhub.hub.ready import Ready
from modelhub.runtimes import Instance
from modelhub.runtimes.guard import memory_of
from modelhub.runtimes.processes import process_mark


def provenance_of(plan: Plan, runtime_version: str) -> Provenance:
    """Which bytes an answer of this plan comes from: all of them, or it is an error."""
    assert plan.runtime is not None
    files = []
    for file in plan.weights:
        if file.sha256 is None:
            raise IntegrityError(f"{plan.repo}: the hash of {file.path} is not known", path=file.path)
        files.append(WeightFile(repo=file.repo, path=file.path, sha256=file.sha256))
    return Provenance(
        repo=plan.repo,
        commit=plan.commit,
        model=plan.model.name,
        variant=plan.variant,
        runtime=plan.runtime,
        runtime_version=runtime_version,
        device=plan.device,
        files=tuple(files),
    )


def described(ready: Ready, instance: Instance) -> InstanceRecord:
    """What is written down of a loaded model."""
    provenance, plan = ready.provenance, ready.plan
    return InstanceRecord(
        source=ready.target.record.repo.source,
        repo=provenance.repo,
        commit=provenance.commit,
        model=provenance.model,
        variant=provenance.variant,
        digest=provenance.digest,
        config=sha256(ready.key.options.encode()).hexdigest(),
        filename=provenance.files[0].path if provenance.files else None,
        runtime=provenance.runtime,
        runtime_version=provenance.runtime_version,
        device=provenance.device,
        predicted_bytes=plan.memory,
        measured_bytes=memory_of(provenance.runtime, instance),
        process=process_mark(instance.pid),
        artifacts=tuple(file.sha256 for file in plan.files if file.sha256),
    )
