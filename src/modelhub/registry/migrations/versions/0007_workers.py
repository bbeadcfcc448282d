"""Jobs that workers claim: whose workers may, and how many died of them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("job", sa.Column("place", TEXT, nullable=False, server_default=sa.text("''")))
    op.add_column("job", sa.Column("deaths", BIG, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("job", "deaths")
    op.drop_column("job", "place")
