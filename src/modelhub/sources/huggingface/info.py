"""What the hub says of a repository: a short answer, read within bounds and then field by field.

Format: `GET /api/models/{id}[/revision/{revision}]?expand=…`, the fields that huggingface_hub reads
into its `ModelInfo` (huggingface.co/docs/hub/api).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from modelhub.sources.huggingface.tree import parse_json, unusable

MAX_INFO = 4 << 20  # bytes; cards with thousands of benchmark results come near one
# Counted before anything is parsed: what JSON holds costs far more memory than its text.
_MAX_CONTAINERS = 50_000
_MAX_COMMAS = 200_000

# Only these: a list of siblings would be the whole tree once more, of any size.
_WANTED = (
    "cardData",
    "disabled",
    "gated",
    "lastModified",
    "library_name",
    "pipeline_tag",
    "private",
    "sha",
    "tags",
)


class Info(NamedTuple):
    """A repository's facts, as the hub states them: nothing here is checked but `last_modified`."""

    id: object
    sha: object
    card: Mapping[str, object]
    tags: object
    pipeline_tag: object
    library_name: object
    gated: bool
    private: bool
    last_modified: datetime | None


def info_path(repo: str, revision: str | None) -> str:
    """The path and query to ask for, below the endpoint."""
    at = "" if revision is None else f"/revision/{quote(revision, safe='')}"
    return f"api/models/{quote(repo)}{at}?{urlencode([('expand', name) for name in _WANTED])}"


def read_info(body: bytes, what: str) -> Info:
    """The facts in an answer.

    Raises:
        SourceError: for an answer that is none.
    """
    if body.count(b"{") + body.count(b"[") > _MAX_CONTAINERS or body.count(b",") > _MAX_COMMAS:
        raise unusable(what, "it has more values than the facts of any model")
    said = parse_json(body, what)
    if not isinstance(said, dict):
        raise unusable(what, f"no model's facts but a {type(said).__name__}")
    return Info(
        said.get("id"),
        said.get("sha"),
        _card(said.get("cardData")),
        said.get("tags"),
        said.get("pipeline_tag"),
        said.get("library_name"),
        bool(said.get("gated")),
        bool(said.get("private")),
        _moment(said.get("lastModified"), what),
    )


def _card(card: object) -> Mapping[str, object]:
    fields: Mapping[str, object] = card if isinstance(card, dict) else {}
    return {name: value for name, value in fields.items() if value is not None}


def _moment(text: Any, what: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise unusable(what, f"it was last modified at {text!r:.60}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
