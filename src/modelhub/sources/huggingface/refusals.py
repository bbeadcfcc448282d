"""What the hub's refusals mean: one table for its API and its files."""

from collections.abc import Callable
from dataclasses import dataclass

from modelhub.errors import (
    AccessDenied,
    FileNotInRepository,
    GatedRepository,
    ModelHubError,
    RepositoryNotFound,
    RevisionNotFound,
)
from modelhub.sources.transport import Refusal, plain_error

_BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105 - the hub's words, no secret
_DISABLED = "Access to this resource is disabled"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of the hub, for the words of an error."""

    endpoint: str
    repo: str
    revision: str | None = None
    file: str | None = None
    has_token: bool = False

    def error(self, refusal: Refusal) -> ModelHubError:
        """The error that a refusal means."""
        return _TABLE.get(_meaning(self, refusal), _unknown)(self, refusal)


def _meaning(asked: Asked, refusal: Refusal) -> str:
    """A key of the table: the hub's own code, or what its status means without one."""
    if refusal.code in _TABLE:
        return refusal.code
    if refusal.message == _BAD_TOKEN:
        return "BadToken"
    if refusal.message == _DISABLED or refusal.status == 403:
        return "Denied"
    if refusal.status == 401:  # for a stranger, private and missing are the same
        return "Denied" if asked.has_token else "RepoNotFound"
    if refusal.status == 404:
        return "EntryNotFound" if asked.file else "RepoNotFound"
    return ""


def _gated(asked: Asked, refusal: Refusal) -> ModelHubError:
    page = f"{asked.endpoint}/{asked.repo}"
    if asked.has_token:
        hint = f"Ask for access at {page} with the account that the token in use belongs to."
    else:
        hint = f"Ask for access at {page}, then set HF_TOKEN to a token of your account."
    return GatedRepository(
        f"{asked.repo} is gated: its owner must grant access to its files{_said(refusal)}",
        hint=hint,
        repo=asked.repo,
    )


def _no_repo(asked: Asked, refusal: Refusal) -> ModelHubError:
    if asked.has_token:
        hint = "Check the spelling. If it is private, the token in use has no access to it."
    else:
        hint = "Check the spelling. If it is private, set HF_TOKEN to a token that may read it."
    return RepositoryNotFound(
        f"no repository {asked.repo} at {asked.endpoint}",
        hint=hint,
        repo=asked.repo,
        status=refusal.status,
    )


def _no_revision(asked: Asked, refusal: Refusal) -> ModelHubError:
    return RevisionNotFound(
        f"{asked.repo} has no revision {asked.revision or 'main'}",
        hint="A revision is a branch, a tag or a full commit.",
        repo=asked.repo,
        revision=asked.revision or "main",
        status=refusal.status,
    )


def _no_file(asked: Asked, refusal: Refusal) -> ModelHubError:
    return FileNotInRepository(
        f"{asked.repo} has no file {asked.file} at {asked.revision or 'main'}",
        hint="Sync the repository again: it may have been recreated.",
        repo=asked.repo,
        path=asked.file,
        status=refusal.status,
    )


def _bad_token(asked: Asked, refusal: Refusal) -> ModelHubError:
    return AccessDenied(
        f"{asked.endpoint} does not accept the token",
        hint="It may have expired: set HF_TOKEN to a valid one, or unset it to read as a stranger.",
        status=refusal.status,
    )


def _denied(asked: Asked, refusal: Refusal) -> ModelHubError:
    hint = "the token in use may not read it" if asked.has_token else "set HF_TOKEN if it needs one"
    return AccessDenied(
        f"{refusal.address.origin} denies access to {asked.repo} ({refusal.status}){_said(refusal)}",
        hint=f"Check the repository's settings; {hint}.",
        repo=asked.repo,
        status=refusal.status,
    )


def _unknown(asked: Asked, refusal: Refusal) -> ModelHubError:  # noqa: ARG001 - one shape for the table
    return plain_error(refusal)


def _said(refusal: Refusal) -> str:
    return f" ({refusal.message})" if refusal.message else ""


_TABLE: dict[str, Callable[[Asked, Refusal], ModelHubError]] = {
    "GatedRepo": _gated,
    "RepoNotFound": _no_repo,
    "RevisionNotFound": _no_revision,
    "EntryNotFound": _no_file,
    "BadToken": _bad_token,
    "Denied": _denied,
}
