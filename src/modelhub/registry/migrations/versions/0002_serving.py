"""Code that was allowed; processes by the tick at which they started, which no clock changes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    digest = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
    revision_key = sa.ForeignKey(
        "model_repo_revision.id", name="fk_code_approval_revision_id", ondelete="CASCADE"
    )
    op.create_table(
        "code_approval",
        sa.Column("id", BIG, nullable=False),
        sa.Column("revision_id", BIG, revision_key, nullable=False),
        sa.Column("file_path", TEXT, nullable=False),
        sa.Column("sha256", digest, nullable=False),
        sa.Column("approved_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_code_approval"),
        sa.UniqueConstraint("revision_id", "file_path", name="uq_code_approval_revision_id_file_path"),
    )
    op.add_column("runtime_instance", sa.Column("pid_started_ticks", BIG, nullable=True))
    op.drop_column("runtime_instance", "pid_started_at")


def downgrade() -> None:
    op.add_column("runtime_instance", sa.Column("pid_started_at", TIME, nullable=True))
    op.drop_column("runtime_instance", "pid_started_ticks")
    op.drop_table("code_approval")
