"""What huggingface_hub's client says of a repository, its errors brought into our tree."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from modelhub.errors import InvalidReference, ModelHubError, Offline
from modelhub.sources.huggingface.refusals import Asked
from modelhub.sources.huggingface.tree import unusable
from modelhub.sources.transport import (
    RETRY_STATUS,
    Address,
    Refusal,
    Transient,
    Transport,
    busy,
    clean_message,
    retry_after,
    unavailable,
)

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.hf_api import ExpandModelProperty_T

# Only these: a list of siblings would be the whole tree once more, of any size.
_WANTED: "list[ExpandModelProperty_T]" = [
    "cardData",
    "disabled",
    "gated",
    "lastModified",
    "library_name",
    "pipeline_tag",
    "private",
    "sha",
    "tags",
]


def read_info(asked: Asked, token: str | None, transport: Transport) -> "ModelInfo":
    """The repository's facts at `asked.revision`, asked with the patience of `transport`.

    Raises:
        RepositoryNotFound, RevisionNotFound, GatedRepository, AccessDenied
        Offline: when huggingface_hub is told to be.
        SourceUnavailable: when the hub cannot be reached, or keeps failing.
        SourceError: for an answer that is none.
    """
    return transport.retry.run(lambda: _ask(asked, token, transport.read_timeout))


def _ask(asked: Asked, token: str | None, timeout: float) -> "ModelInfo":
    from httpx2 import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    api = HfApi(asked.endpoint, token or False, "modelhub", version("modelhub"))
    what = f"{asked.endpoint}/api/models/{asked.repo}"
    try:
        return api.model_info(asked.repo, revision=asked.revision, timeout=timeout, expand=_WANTED)
    # Causes that quote the server are not kept, for it may repeat what it was sent.
    except HfHubHTTPError as error:
        raise _refused(asked, error, what, token) from None
    except OfflineModeIsEnabled:
        raise Offline(f"{what} is needed, and HF_HUB_OFFLINE is set", hint="Unset it.") from None
    except HFValidationError as error:
        raise InvalidReference(f"no name of a repository: {error}", field="model") from None
    except HTTPError as error:
        raise Transient(unavailable(Address.parse(what).origin, error)) from error
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise unusable(what, f"no model's facts ({type(error).__name__})") from None


def card_of(info: "ModelInfo") -> dict[str, object]:
    """The card's fields as huggingface_hub keeps them, but for the results it makes objects of."""
    fields: dict[str, object] = getattr(info.card_data, "__dict__", {})
    return {
        name: value for name, value in fields.items() if name != "eval_results" and value is not None
    }


def _refused(
    asked: Asked, error: "HfHubHTTPError", what: str, token: str | None
) -> ModelHubError | Transient:
    headers = error.response.headers
    said = headers.get("X-Error-Message") or error.server_message or ""
    refusal = Refusal(
        Address.parse(what),
        error.response.status_code,
        headers.get("X-Error-Code", ""),
        clean_message(said, (token or "",)),
    )
    if refusal.status not in RETRY_STATUS:
        return asked.error(refusal)
    after = retry_after(headers.get("Retry-After"), headers.get("RateLimit"))
    return Transient(busy(refusal, after), after)
