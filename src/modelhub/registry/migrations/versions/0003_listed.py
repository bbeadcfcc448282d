"""The models that repositories hold now, laid out for searching, made of what is known already."""

import re
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

PAGE = ("vendor_key", "name_key", "model_repo_id", "model_key", "position")
WORD = re.compile(r"[^\W_]+")
UNNAMED = ("other", "unknown")
ID = re.compile(r"[a-z0-9][a-z0-9.+_-]{0,99}")
HOW_LATE = re.compile(r"(?<=\d)(?:-only|-or-later|\+)\Z")
SAME = {
    "apache-2": "apache-2.0",
    "apache2.0": "apache-2.0",
    "apache-license-2.0": "apache-2.0",
    "bsd-3": "bsd-3-clause",
    "bsd-2": "bsd-2-clause",
    "cc0": "cc0-1.0",
    "mit-license": "mit",
}
NAME, LICENSE, LETTERS = 100, 100, 64
BATCH = 500

Found = list[dict[str, Any]]


def upgrade() -> None:
    listed = create_listed()
    words = create_words()
    variant = "model_variant"
    over = ["precision", "size_bytes", "logical_model_id"]
    op.create_index("ix_model_variant_format", variant, ["format", *over])
    op.create_index("ix_model_variant_precision", variant, over)
    models = list(known_models())
    for at in range(0, len(models), BATCH):
        batch = models[at : at + BATCH]
        op.bulk_insert(listed, batch)
        op.bulk_insert(words, [row for model in batch for row in words_of(model)])


def downgrade() -> None:
    op.drop_index("ix_model_variant_precision", "model_variant")
    op.drop_index("ix_model_variant_format", "model_variant")
    op.drop_table("listed_word")
    op.drop_table("listed_model")


def ref(table: str, column: str, target: str) -> sa.ForeignKey:
    return sa.ForeignKey(target, name=f"fk_{table}_{column}", ondelete="CASCADE")


def create_listed() -> sa.Table:
    table = "listed_model"
    made = op.create_table(
        table,
        sa.Column("model_id", BIG, ref(table, "model_id", "logical_model.id"), nullable=False),
        sa.Column("vendor_key", TEXT, nullable=False),
        sa.Column("name_key", TEXT, nullable=False),
        sa.Column("model_repo_id", BIG, ref(table, "model_repo_id", "model_repo.id"), nullable=False),
        sa.Column("model_key", TEXT, nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.Column("task_type", TEXT, nullable=False),
        sa.Column("subtask", TEXT, nullable=True),
        sa.Column("license", TEXT, nullable=True),
        sa.Column("smallest_bytes", BIG, nullable=True),
        sa.Column("largest_bytes", BIG, nullable=True),
        sa.PrimaryKeyConstraint("model_id", name=f"pk_{table}"),
    )
    op.create_index(f"ix_{table}_page", table, [*PAGE])
    op.create_index(f"ix_{table}_task", table, ["task_type", *PAGE])
    op.create_index(f"ix_{table}_license", table, ["license", *PAGE])
    op.create_index(f"ix_{table}_model_repo_id", table, ["model_repo_id"])
    return made


def create_words() -> sa.Table:
    table = "listed_word"
    made = op.create_table(
        table,
        sa.Column("model_id", BIG, ref(table, "model_id", "listed_model.model_id"), nullable=False),
        sa.Column("word", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("model_id", "word", name=f"pk_{table}"),
    )
    op.create_index(f"ix_{table}_word", table, ["word", "model_id"])
    return made


def known_models() -> Iterator[dict[str, Any]]:
    """The models of the commits that default branches mean, with the licence stated best."""
    licenses = stated_licenses()
    found = op.get_bind().execute(
        sa.text(
            "SELECT m.id AS model_id, r.vendor_key, r.name_key, r.id AS model_repo_id,"
            " m.model_name AS model_key, m.position, m.task_type, m.subtask,"
            " v.id AS license, s.smallest_bytes, s.largest_bytes"
            " FROM model_repo r"
            " JOIN model_repo_revision v ON v.model_repo_id = r.id AND v.commit_hash = r.git_head"
            " JOIN logical_model m ON m.revision_id = v.id"
            " LEFT JOIN (SELECT logical_model_id, min(size_bytes) AS smallest_bytes,"
            "  max(size_bytes) AS largest_bytes FROM model_variant GROUP BY logical_model_id) s"
            " ON s.logical_model_id = m.id"
            " WHERE r.deleted_at IS NULL"
        )
    )
    for row in found.mappings():
        name, stated = row["model_key"], licenses.get(row["license"], [])
        yield {**row, "model_key": name[:NAME], "license": license_of(name, stated)}


def license_of(model: str, stated: list[tuple[str, str]]) -> str | None:
    """The first that is not stated of another model; `other` only where nothing names one."""
    mine = [
        said
        for folder in (False, True)
        for subject, said in stated
        if subject.startswith("folder:") == folder and not of_another(subject, model)
    ]
    return next((said for said in mine if said not in UNNAMED), mine[0] if mine else None)


def of_another(subject: str, model: str) -> bool:
    kind, _, name = subject.partition(":")
    return kind == "model" and model != name and not model.startswith(f"{name}-")


def stated_licenses() -> dict[int, list[tuple[str, str]]]:
    """By revision, licences with what they are stated of, the most trusted evidence first."""
    names = ("revision_id", "subject", "key", "trust", "position")
    fact = sa.table("fact", *map(sa.column, names))
    value = sa.column("value", JSON)
    stated = (
        sa.select(fact.c.revision_id, fact.c.subject, value)
        .select_from(fact)
        .where(fact.c.key == "license")
        .order_by(fact.c.trust.desc(), fact.c.position)
    )
    licenses: dict[int, list[tuple[str, str]]] = {}
    for revision_id, subject, said in op.get_bind().execute(stated):
        if name := license_key(said):
            licenses.setdefault(revision_id, []).append((subject, name))
    return licenses


def license_key(said: object) -> str:
    parts = said.split(",") if isinstance(said, str) else ["other"] if said else []
    return ", ".join(sorted({license_id(part) for part in parts if part.strip()}))[:LICENSE]


def license_id(text: str) -> str:
    name = "-".join(text.lower().split())
    if not ID.fullmatch(name):
        return "other"
    name = HOW_LATE.sub("", name)
    return SAME.get(name, name)


def words_of(model: dict[str, Any]) -> Found:
    text = " ".join(model[name] for name in ("vendor_key", "name_key", "model_key"))
    words = {word[:LETTERS] for word in WORD.findall(text.casefold())}
    return [{"model_id": model["model_id"], "word": word} for word in sorted(words)]
