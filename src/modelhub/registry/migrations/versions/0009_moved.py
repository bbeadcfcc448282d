"""Stores that were moved say where they are now."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("store", sa.Column("moved_to", TEXT, nullable=True))


def downgrade() -> None:
    op.drop_column("store", "moved_to")
