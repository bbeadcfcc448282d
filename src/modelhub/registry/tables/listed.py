"""What a search finds: the models that repositories hold now, laid out for it.

Everything here follows from other tables: `registry/listed.py` writes it anew whenever they change.
"""

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from modelhub.registry.tables.base import Row, cascade

_PAGE = ("vendor_key", "name_key", "model_repo_id", "model_key", "position")


class ListedModelRow(Row):
    """A model of the commit that a repository's default branch means.

    The first columns are the order of pages; `model_key` is the model's name, cut to what an index
    can hold. The bytes are those of its smallest and largest variant.
    """

    __tablename__ = "listed_model"
    __table_args__ = (
        Index("ix_listed_model_page", *_PAGE),
        Index("ix_listed_model_task", "task_type", *_PAGE),
        Index("ix_listed_model_license", "license", *_PAGE),
    )

    model_id: Mapped[int] = mapped_column(cascade("logical_model.id"), primary_key=True)
    vendor_key: Mapped[str]
    name_key: Mapped[str]
    model_repo_id: Mapped[int] = mapped_column(cascade("model_repo.id"), index=True)
    model_key: Mapped[str]
    position: Mapped[int]
    task_type: Mapped[str]
    subtask: Mapped[str | None]
    license: Mapped[str | None]
    smallest_bytes: Mapped[int | None]
    largest_bytes: Mapped[int | None]


class ListedWordRow(Row):
    """A word of a listed model's name, or of its repository's."""

    __tablename__ = "listed_word"
    __table_args__ = (Index("ix_listed_word_word", "word", "model_id"),)

    model_id: Mapped[int] = mapped_column(cascade("listed_model.model_id"), primary_key=True)
    word: Mapped[str] = mapped_column(primary_key=True)
