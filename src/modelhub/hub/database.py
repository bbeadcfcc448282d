"""What can be done to a database before a Hub opens it."""

from modelhub.registry import Registry
from modelhub.settings import Settings


def upgrade_database(settings: Settings) -> tuple[str | None, str]:
    """Bring the schema up to date; gives its revision before and after.

    Raises:
        DatabaseUnavailable, SchemaMismatch: for a database newer than this modelhub.
    """
    return Registry.upgrade(settings.database)


def schema_state(settings: Settings) -> dict[str, str]:
    """The database, its schema's revision, and the one that this modelhub wants."""
    found, wanted = Registry.revisions(settings.database)
    return {"database": Registry.shown(settings.database), "found": found or "empty", "wanted": wanted}
