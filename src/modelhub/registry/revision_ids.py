"""The schema's revisions, oldest first.

They stand here, apart from the migrations, because importing Alembic takes longer than opening
the database: a schema that is current is recognised without it.
"""

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
HEAD = REVISIONS[-1]
