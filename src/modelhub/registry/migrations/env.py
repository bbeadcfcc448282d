"""What Alembic runs, on the connection that `schema` hands it."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, text

from modelhub.registry.tables import Row
from modelhub.registry.types import Json, Name, Text, Utc, Wide

LOCK = 0x6D6F64656C687562  # "modelhub"


def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """A revision must not change when a type of ours does, so it gets what the type is now."""
    if kind != "type":
        return False
    if isinstance(item, Utc):
        return "sa.DateTime(timezone=True)"
    if isinstance(item, Wide):
        return "sa.Text()"
    if isinstance(item, Text):
        return "sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')"
    if isinstance(item, Name):
        kinds = f"sa.String({item.length})", f"sa.String({item.length}, collation='C')"
        return "{}.with_variant({}, 'postgresql')".format(*kinds)
    if isinstance(item, Json):
        autogen.imports.add("from sqlalchemy.dialects import postgresql")
        return "sa.JSON().with_variant(postgresql.JSONB(), 'postgresql')"
    return False


def wait_for_turn(connection: Connection) -> None:
    """One migration at a time; none waits for ever, nor makes others wait behind it."""
    connection.execute(text("SET LOCAL statement_timeout = '15min'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    connection.execute(text("SET LOCAL lock_timeout = '10s'"))


def migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        wait_for_turn(connection)
    context.configure(
        connection=connection,
        target_metadata=Row.metadata,
        render_as_batch=True,
        render_item=render_item,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


migrate(context.config.attributes["connection"])
