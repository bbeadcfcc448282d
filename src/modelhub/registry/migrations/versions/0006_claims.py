"""Who fetches which bytes into a store, so that hosts that share one fetch each once."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
DIGEST = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")


def upgrade() -> None:
    store = sa.ForeignKey("store.id", name="fk_fetch_claim_store_id", ondelete="CASCADE")
    op.create_table(
        "fetch_claim",
        sa.Column("store_id", BIG, store, nullable=False),
        sa.Column("sha256", DIGEST, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("host", TEXT, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "sha256", name="pk_fetch_claim"),
    )
    op.create_index("ix_fetch_claim_owner", "fetch_claim", ["owner"])


def downgrade() -> None:
    op.drop_table("fetch_claim")
