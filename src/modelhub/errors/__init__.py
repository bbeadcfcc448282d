"""Every exception that modelhub raises, as one tree.

    ModelHubError
    ├── InvalidInput (ValueError)          what the caller passed cannot be right
    │   ├── InvalidReference                a model reference that does not parse
    │   ├── UnsafePath                      a file name that would leave its folder
    │   └── ContextTooLong                  a prompt longer than the model's context
    ├── NotFound (LookupError)
    │   ├── RepositoryNotFound
    │   ├── RevisionNotFound
    │   ├── FileNotInRepository
    │   ├── VariantNotFound
    │   ├── ArtifactNotFound
    │   └── JobNotFound
    ├── AmbiguousReference                  several things match
    ├── TaskNotSupported                    the model does not serve this task
    ├── AccessDenied                        the source wants a (better) token
    │   └── GatedRepository
    ├── LicenseRefused                      a licence that this Hub's policy refuses
    ├── FormatError                         a header that is damaged, lying or hostile
    ├── IntegrityError                      bytes that are not the promised bytes
    ├── StoreError
    │   ├── StoreUnavailable                a folder that cannot be written
    │   └── StoreFull
    ├── RegistryError
    │   ├── DatabaseUnavailable
    │   ├── SchemaMismatch                  an old (or newer) database schema
    │   └── IntrospectorBroken              a plugin that cannot be imported
    ├── SourceError
    │   ├── SourceChanged                   a file that became another while it was read
    │   ├── SourceUnavailable               the remote cannot be reached
    │   └── Offline                         the call would have opened a socket
    ├── RuntimeProblem
    │   ├── RuntimeNotInstalled
    │   ├── RuntimeNotFound
    │   ├── RuntimeConflict                 two distributions claim one name
    │   ├── RuntimeBroken                   a plugin that cannot be imported
    │   ├── LoadFailed
    │   ├── RemoteCodeRefused               a repository wants to run code that nobody allowed
    │   ├── PickleRefused                   a pickle that is more than weights, and that nobody trusts
    │   └── EngineError                     the engine failed while it worked
    │       ├── OutputInvalid               the answer is not what its format says
    │       └── ProcessLost                 the process that held the model is gone
    ├── DoesNotFit                          not enough memory, with the arithmetic
    ├── InUse                               what should be removed is held by somebody
    ├── Cancelled
    ├── DeadlineExceeded (TimeoutError)
    ├── JobFailed
    └── HubClosed

An error has a stable ``code``, a message, a ``hint`` (what to do next) and ``details`` (JSON
values). ``to_dict`` and ``error_from_dict`` carry it through job rows, child processes and HTTP.
"""

from modelhub.errors.root import ModelHubError, error_from_dict

__all__ = [
    "AccessDenied",
    "AmbiguousReference",
    "ArtifactNotFound",
    "Cancelled",
    "ContextTooLong",
    "DatabaseUnavailable",
    "DeadlineExceeded",
    "DoesNotFit",
    "EngineError",
    "FileNotInRepository",
    "FormatError",
    "GatedRepository",
    "HubClosed",
    "InUse",
    "IntegrityError",
    "IntrospectorBroken",
    "InvalidInput",
    "InvalidReference",
    "JobFailed",
    "JobNotFound",
    "LicenseRefused",
    "LoadFailed",
    "ModelHubError",
    "NotFound",
    "Offline",
    "OutputInvalid",
    "PickleRefused",
    "ProcessLost",
    "RegistryError",
    "RemoteCodeRefused",
    "RepositoryNotFound",
    "RevisionNotFound",
    "RuntimeBroken",
    "RuntimeConflict",
    "RuntimeNotFound",
    "RuntimeNotInstalled",
    "RuntimeProblem",
    "SchemaMismatch",
    "SourceChanged",
    "SourceError",
    "SourceUnavailable",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "TaskNotSupported",
    "UnsafePath",
    "VariantNotFound",
    "error_from_dict",
]


class InvalidInput(ModelHubError, ValueError):
    """What the caller passed cannot be right; nothing was done."""

    code = "invalid_input"


class InvalidReference(InvalidInput):
    """A model reference that does not parse; the message points at the place."""

    code = "invalid_reference"


class UnsafePath(InvalidInput):
    """A file name that would leave its folder, or that some system cannot hold."""

    code = "unsafe_path"


class ContextTooLong(InvalidInput):
    """A prompt that has more tokens than the model's context."""

    code = "context_too_long"


class NotFound(ModelHubError, LookupError):
    """Something that was asked for by name does not exist."""

    code = "not_found"


class RepositoryNotFound(NotFound):
    code = "repository_not_found"


class RevisionNotFound(NotFound):
    code = "revision_not_found"


class FileNotInRepository(NotFound):
    code = "file_not_in_repository"


class VariantNotFound(NotFound):
    """No variant (or model of a repository) matches; the hint lists what exists, nearest first."""

    code = "variant_not_found"


class ArtifactNotFound(NotFound):
    code = "artifact_not_found"


class JobNotFound(NotFound):
    code = "job_not_found"


class AmbiguousReference(ModelHubError, ValueError):
    """Several repositories, models or variants match; the hint lists them."""

    code = "ambiguous_reference"


class TaskNotSupported(ModelHubError, ValueError):
    """The model does not serve the task; the hint lists the tasks that it serves."""

    code = "task_not_supported"


class AccessDenied(ModelHubError, PermissionError):
    """The source refuses these credentials."""

    code = "access_denied"


class GatedRepository(AccessDenied):
    """The repository's owner must grant access first."""

    code = "gated_repository"


class LicenseRefused(ModelHubError, PermissionError):
    """This Hub's licence policy refuses the model; nothing was fetched. ``details``: codes, licenses."""

    code = "license_refused"


class FormatError(ModelHubError, ValueError):
    """A file header that is damaged, lying or hostile."""

    code = "format_error"


class IntegrityError(ModelHubError):
    """Bytes that are not the promised bytes. ``details``: path, expected, actual; kept, in a store."""

    code = "integrity_error"


class StoreError(ModelHubError):
    code = "store_error"


class StoreUnavailable(StoreError):
    """The store's folder cannot be created, read or written."""

    code = "store_unavailable"


class StoreFull(StoreError):
    """Not enough room on the store's disk, with the arithmetic."""

    code = "store_full"


class RegistryError(ModelHubError):
    code = "registry_error"


class DatabaseUnavailable(RegistryError):
    """The database cannot be reached or opened."""

    code = "database_unavailable"


class SchemaMismatch(RegistryError):
    """The database's schema is older or newer than this modelhub."""

    code = "schema_mismatch"


class IntrospectorBroken(RegistryError):
    """An introspector plugin that cannot be imported, breaks the contract or shares its name."""

    code = "introspector_broken"


class SourceError(ModelHubError):
    """The source answered something that modelhub cannot use."""

    code = "source_error"


class SourceChanged(SourceError):
    """A file of the source became another one while it was read."""

    code = "source_changed"


class SourceUnavailable(SourceError, ConnectionError):
    """The source cannot be reached, or keeps failing."""

    code = "source_unavailable"


class Offline(SourceError):
    """The call needs the network, and this Hub is offline."""

    code = "offline"


class RuntimeProblem(ModelHubError):
    code = "runtime_problem"


class RuntimeNotInstalled(RuntimeProblem):
    """A runtime that could do it lacks its libraries; the hint is the ``pip install`` line."""

    code = "runtime_not_installed"


class RuntimeNotFound(RuntimeProblem, LookupError):
    """No runtime of that name, or none that can run this variant on this device."""

    code = "runtime_not_found"


class RuntimeConflict(RuntimeProblem):
    """Two distributions claim one runtime name; both are named."""

    code = "runtime_conflict"


class RuntimeBroken(RuntimeProblem):
    """A runtime plugin that cannot be imported or breaks the contract."""

    code = "runtime_broken"


class LoadFailed(RuntimeProblem):
    """The engine could not load the model."""

    code = "load_failed"


class RemoteCodeRefused(RuntimeProblem):
    """The repository wants to run Python code of its own, and nobody has allowed that for this commit.

    ``details``: file, the configuration that asks for it.
    """

    code = "remote_code_refused"


class PickleRefused(RuntimeProblem):
    """A pickle that holds more than plain weights, and so would run code; nobody said to trust it.

    ``details``: file, its sha256 (``None`` where it is not known), and what of it is refused.
    """

    code = "pickle_refused"


class EngineError(RuntimeProblem):
    """The engine failed while it worked on a request."""

    code = "engine_error"


class OutputInvalid(EngineError):
    """The answer is not what its response format says; its content is in no text of this error.

    ``details``: finish_reason.
    """

    code = "output_invalid"


class ProcessLost(EngineError):
    """The process that held the model has ended; its requests are lost, the next one starts it anew.

    ``details``: pid, status (an exit status, or a signal's number below zero).
    """

    code = "process_lost"


class DoesNotFit(ModelHubError, MemoryError):
    """Not enough memory; the message holds the arithmetic, the hint what would fit."""

    code = "does_not_fit"


class InUse(ModelHubError):
    """What should be removed is held: by a loaded model, or by a job. ``details``: holders."""

    code = "in_use"


class Cancelled(ModelHubError):
    """The caller cancelled the work."""

    code = "cancelled"


class DeadlineExceeded(ModelHubError, TimeoutError):
    """The call's timeout passed before the work was done."""

    code = "deadline_exceeded"


class JobFailed(ModelHubError):
    """A job ended in an error that is not one of ours; its text is kept."""

    code = "job_failed"


class HubClosed(ModelHubError):
    """The Hub was used after ``close()``."""

    code = "hub_closed"
