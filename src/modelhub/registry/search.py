"""Finds models by what they are: pages in a fixed order, each answered from indexes."""

import base64
import json
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, exists, select, tuple_
from sqlalchemy.orm import Session

from modelhub.errors import InvalidInput
from modelhub.facts import ModelEntry, ModelPage
from modelhub.registry.listed import license_key, words_of
from modelhub.registry.statements import among
from modelhub.registry.tables import (
    ListedModelRow,
    ListedWordRow,
    ModelRow,
    RepoRow,
    RevisionRow,
    VariantRow,
)

__all__ = ["ModelQuery", "Search"]

_ORDER = (
    ListedModelRow.vendor_key,
    ListedModelRow.name_key,
    ListedModelRow.model_repo_id,
    ListedModelRow.model_key,
    ListedModelRow.position,
)
_SHOWN = (ListedModelRow.license, ListedModelRow.smallest_bytes, ListedModelRow.largest_bytes)
_MOST = 1 << 63
_BEHIND_EVERY_LETTER = "\U0010ffff"
_MARK = "m"
_TOKEN = 1 << 16

_Condition = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class ModelQuery:
    """What models must be; `None` asks for nothing.

    Each word of `text` begins a word of the repository's or the model's name. One variant at least
    has the format, the precision and a size between the bounds, all at once. Vendor and licence
    compare without case; a vendor of `""` means without one.
    """

    text: str | None = None
    task: str | None = None
    subtask: str | None = None
    vendor: str | None = None
    format: str | None = None
    precision: str | None = None
    license: str | None = None
    min_bytes: int | None = None
    max_bytes: int | None = None


class Search:
    """Models by what they are, of the commits that default branches meant when last synced."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def page(self, query: ModelQuery, limit: int, after: str | None = None) -> ModelPage:
        """At most `limit`, by repository and name; those behind the page whose `next` is `after`.

        Raises:
            InvalidInput: for an `after` that is no page's, or a text without a letter or digit.
        """
        wanted = _conditions(query)
        if after is not None:
            wanted.append(tuple_(*_ORDER) > _read_token(after))
        found = select(ListedModelRow.model_id, *_SHOWN, *_ORDER).where(*wanted)
        rows = self._session.execute(found.order_by(*_ORDER).limit(limit + 1)).mappings().all()
        page = rows[:limit]
        token = _token(page[-1]) if len(rows) > limit else None
        return ModelPage(models=tuple(self._entries(page)) if page else (), next=token)

    def tasks(self) -> tuple[str, ...]:
        """The tasks that listed models serve."""
        served = select(ListedModelRow.task_type).distinct().order_by(ListedModelRow.task_type)
        return tuple(self._session.scalars(served))

    def _entries(self, page: Sequence[RowMapping]) -> Iterator[ModelEntry]:
        numbers = [row["model_id"] for row in page]
        models, variants = self._models(numbers), self._variants(numbers)
        for row in page:
            number = row["model_id"]
            formats, precisions = variants.get(number, ((), ()))
            yield ModelEntry(
                **models[number],
                **{column.key: row[column.key] for column in _SHOWN},
                formats=formats,
                precisions=precisions,
            )

    def _models(self, numbers: Collection[int]) -> dict[int, dict[str, Any]]:
        """What a line says of each model and its repository, by the model's number."""
        found = (
            select(
                RepoRow.model_repo_name.label("repo"),
                RepoRow.source,
                RevisionRow.commit_hash.label("commit"),
                ModelRow.model_name.label("name"),
                ModelRow.task_type.label("task"),
                ModelRow.subtask,
                ModelRow.parameters,
                ModelRow.id,
            )
            .join(RevisionRow, ModelRow.revision_id == RevisionRow.id)
            .join(RepoRow, RevisionRow.model_repo_id == RepoRow.id)
            .where(among(self._session, ModelRow.id, numbers))
        )
        rows = self._session.execute(found).mappings()
        return {row["id"]: {name: row[name] for name in row if name != "id"} for row in rows}

    def _variants(self, numbers: Collection[int]) -> dict[int, tuple[tuple[str, ...], tuple[str, ...]]]:
        """The formats and the precisions of each model's variants, in their order."""
        found = (
            select(VariantRow.logical_model_id, VariantRow.format, VariantRow.precision)
            .where(among(self._session, VariantRow.logical_model_id, numbers))
            .order_by(VariantRow.logical_model_id, VariantRow.position)
        )
        kinds: dict[int, tuple[dict[str, None], dict[str, None]]] = {}
        for number, kind, precision in self._session.execute(found):
            formats, precisions = kinds.setdefault(number, ({}, {}))
            formats[kind] = None
            if precision:
                precisions[precision] = None
        return {number: (tuple(formats), tuple(precs)) for number, (formats, precs) in kinds.items()}


def _conditions(query: ModelQuery) -> list[_Condition]:
    named = {
        ListedModelRow.task_type: query.task,
        ListedModelRow.subtask: query.subtask,
        ListedModelRow.vendor_key: None if query.vendor is None else query.vendor.casefold(),
        ListedModelRow.license: license_key(query.license),
    }
    wanted = [column == value for column, value in named.items() if value is not None]
    wanted += [ListedModelRow.model_id.in_(_with_word(word)) for word in _words(query.text)]
    return [*wanted, *_of_variants(query)]


def _words(text: str | None) -> tuple[str, ...]:
    words = words_of(text or "")
    if not words and text and not text.isspace():
        raise InvalidInput(
            f"text: {text!r:.60} has no word to look for",
            hint="A word is letters and digits, such as qwen3.",
            field="text",
        )
    return words


def _with_word(word: str) -> Select[int]:
    """The models with a word that begins so: a piece of the index."""
    begins = (ListedWordRow.word >= word) & (ListedWordRow.word < word + _BEHIND_EVERY_LETTER)
    return select(ListedWordRow.model_id).where(begins)


def _of_variants(query: ModelQuery) -> Iterator[_Condition]:
    """One variant that is all that was asked of variants."""
    least, most = query.min_bytes, query.max_bytes
    wanted = [
        column == value
        for column, value in ((VariantRow.format, query.format), (VariantRow.precision, query.precision))
        if value is not None
    ]
    if least is not None:
        yield ListedModelRow.largest_bytes >= least
        wanted.append(VariantRow.size_bytes >= least)
    if most is not None:
        yield ListedModelRow.smallest_bytes <= most
        wanted.append(VariantRow.size_bytes <= most)
    if query.format is not None or query.precision is not None:
        # Read from the index at once. By size alone it would be most of it, and is asked one by one.
        yield ListedModelRow.model_id.in_(select(VariantRow.logical_model_id).where(*wanted))
    elif least is not None and most is not None:
        yield exists().where(VariantRow.logical_model_id == ListedModelRow.model_id, *wanted)


def _token(row: RowMapping) -> str:
    """Where a page ends, with a checksum: what its last model has in the columns of the order."""
    text = json.dumps([row[column.key] for column in _ORDER]).encode()
    return _MARK + base64.urlsafe_b64encode(_checksum(text) + text).decode().rstrip("=")


def _read_token(after: str) -> tuple[str | int, ...]:
    try:
        mark, packed = after[:1], after[1:_TOKEN].encode("ascii")
        content = base64.b64decode(packed + b"=" * (-len(packed) % 4), b"-_", validate=True)
        sound = mark == _MARK and content[:4] == _checksum(content[4:])
        match json.loads(content[4:]) if sound else None:
            case [str(vendor), str(name), int(repo), str(model), int(position)]:
                if max(abs(repo), abs(position)) < _MOST:
                    return vendor, name, repo, model, position
    except (ValueError, RecursionError):
        pass
    raise InvalidInput(
        f"after: {after!r:.40} is not where a page ended",
        hint="Give the `next` of the page before, as it is.",
        field="after",
    )


def _checksum(text: bytes) -> bytes:
    return zlib.crc32(text).to_bytes(4, "big")
