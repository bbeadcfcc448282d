"""How databases answer questions: by an index, or by going through a table."""

from contextlib import contextmanager

from sqlalchemy import event


@contextmanager
def explained(registry, *, forced=True):
    """How the database answers each SELECT that is made meanwhile, a list of steps for each.

    A table of a test is soon read whole; `forced` asks PostgreSQL whether it must be.
    """
    steps = []
    how = "EXPLAIN QUERY PLAN " if registry.dialect == "sqlite" else "EXPLAIN "

    def explain(connection, cursor, statement, parameters, context, many):
        if statement.startswith("SELECT"):
            aside = cursor.connection.cursor()
            if registry.dialect == "postgresql":
                # A table of a test is soon read whole; the question is whether it must be.
                aside.execute("SET LOCAL enable_seqscan = off")
            rows = aside.execute(how + statement, parameters).fetchall()
            steps.append([str(row[-1]) for row in rows])

    event.listen(registry._reader, "before_cursor_execute", explain)
    yield steps
    event.remove(registry._reader, "before_cursor_execute", explain)


def whole(steps):
    """Those that go through a table."""
    return [
        step
        for one in steps
        for step in one
        if "Seq Scan" in step or (step.startswith("SCAN") and "USING" not in step)
    ]
