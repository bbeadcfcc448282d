"""Repositories that somebody holds, so that no purge takes them from under a pull or a load."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "lease_repo",
        sa.Column("lease_id", BIG, _key("lease"), nullable=False),
        sa.Column("model_repo_id", BIG, _key("model_repo"), nullable=False),
        sa.PrimaryKeyConstraint("lease_id", "model_repo_id", name="pk_lease_repo"),
    )
    op.create_index("ix_lease_repo_model_repo_id", "lease_repo", ["model_repo_id"])


def downgrade() -> None:
    op.drop_table("lease_repo")


def _key(table: str) -> sa.ForeignKey:
    return sa.ForeignKey(f"{table}.id", name=f"fk_lease_repo_{table}_id", ondelete="CASCADE")
