"""Who read a commit last, so that one that reads otherwise reads it again."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("model_repo_revision", sa.Column("reader", TEXT, nullable=True))


def downgrade() -> None:
    op.drop_column("model_repo_revision", "reader")
