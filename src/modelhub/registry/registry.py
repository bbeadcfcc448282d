"""The registry: opens the database, gives transactions."""

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Self

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from modelhub.errors import HubClosed, RegistryError
from modelhub.registry import schema
from modelhub.registry.approvals import Approvals
from modelhub.registry.calls import Calls
from modelhub.registry.engine import make_engine, make_reader, parse_url, shown, translate
from modelhub.registry.events import Events
from modelhub.registry.evictions import Evictions
from modelhub.registry.garbage import Garbage
from modelhub.registry.jobs import Jobs
from modelhub.registry.leases import Leases
from modelhub.registry.models import Models
from modelhub.registry.moves import Moves
from modelhub.registry.removals import Removals
from modelhub.registry.repos import Repos
from modelhub.registry.revision_ids import HEAD
from modelhub.registry.revisions import Revisions
from modelhub.registry.search import Search
from modelhub.registry.served import Served
from modelhub.registry.snapshots import Snapshots
from modelhub.registry.stored import Stored

__all__ = ["Registry", "Transaction"]

_log = logging.getLogger("modelhub.registry")


class Transaction:
    """What can be asked and told within one transaction, by concern. For one thread.

    `session` and `events` are the registry's own.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.events = Events()

    @cached_property
    def repos(self) -> Repos:
        """Registered repositories."""
        return Repos(self.session, self.events)

    @cached_property
    def revisions(self) -> Revisions:
        """Their commits: listings, branches and tags, files."""
        return Revisions(self.session)

    @cached_property
    def models(self) -> Models:
        """What was found in a commit."""
        return Models(self.session)

    @cached_property
    def search(self) -> Search:
        """Models by what they are."""
        return Search(self.session)

    @cached_property
    def snapshots(self) -> Snapshots:
        """Folders linked from a store."""
        return Snapshots(self.session)

    @cached_property
    def served(self) -> Served:
        """Whom some bytes served."""
        return Served(self.session)

    @cached_property
    def removals(self) -> Removals:
        """Repositories that are purged, and the bytes that go with them."""
        return Removals(self.session, self.events)

    @cached_property
    def garbage(self) -> Garbage:
        """What a store has and nobody needs."""
        return Garbage(self.session)

    @cached_property
    def evictions(self) -> Evictions:
        """What makes room in a store that is full."""
        return Evictions(self.session)

    @cached_property
    def stored(self) -> Stored:
        """What a store has, by who has it."""
        return Stored(self.session)

    @cached_property
    def moves(self) -> Moves:
        """Stores that are moved."""
        return Moves(self.session)

    @cached_property
    def leases(self) -> Leases:
        """Who holds which repository."""
        return Leases(self.session)

    @cached_property
    def approvals(self) -> Approvals:
        """Code that may run."""
        return Approvals(self.session)

    @cached_property
    def calls(self) -> Calls:
        """What was asked, and how it ended."""
        return Calls(self.session)

    @cached_property
    def jobs(self) -> Jobs:
        """Long work."""
        return Jobs(self.session)


class Registry:
    """What modelhub knows, in SQLite or PostgreSQL. Safe to share between threads.

    Everything happens in a transaction: `with registry.begin() as tx:` to write, `read()` to see
    one moment of the database. Raises only errors of `modelhub.errors`.
    """

    def __init__(self, writer: Engine, reader: Engine) -> None:
        self._writer = writer
        self._reader = reader
        self._closed = False
        self._mine = threading.local()

    @classmethod
    def open(cls, url: str, *, migrate: bool | None = None) -> Self:
        """The registry in the database at `url`.

        `migrate` says whether an old or empty schema is brought up to date; by default an SQLite
        file's is and a server's is not, because others may be using it.

        Raises:
            InvalidInput: for a URL that names no SQLite file and no PostgreSQL database.
            DatabaseUnavailable: when it cannot be opened.
            SchemaMismatch: when its schema is not this modelhub's.
        """
        writer = make_engine(url)
        registry = cls(writer, make_reader(writer))
        try:
            may_migrate = registry.dialect == "sqlite" if migrate is None else migrate
            if may_migrate and schema.current(registry._reader) != HEAD:
                schema.upgrade(writer)
            schema.check(registry._reader)
        except BaseException:
            registry.close()
            raise
        return registry

    @classmethod
    def upgrade(cls, url: str) -> tuple[str | None, str]:
        """Bring the schema of the database at `url` up to date; its revision before and after.

        Raises:
            As `open` does.
        """
        before, _ = cls.revisions(url)
        cls.open(url, migrate=True).close()
        return before, HEAD

    @classmethod
    def revisions(cls, url: str) -> tuple[str | None, str]:
        """The schema revision that the database at `url` has, and the one that is wanted.

        Raises:
            InvalidInput, DatabaseUnavailable
        """
        writer = make_engine(url)
        registry = cls(writer, make_reader(writer))
        try:
            return schema.current(registry._reader), schema.head()
        finally:
            registry.close()

    @staticmethod
    def shown(url: str) -> str:
        """`url` for people: without its password.

        Raises:
            InvalidInput
        """
        return shown(parse_url(url))

    @property
    def url(self) -> str:
        """Where the database is, without its password."""
        return shown(self._writer.url)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._writer.dialect.name

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A transaction that may write; committed at the end of the block, or undone by an error.

        A thread has one at a time.
        """
        with self._one_writer(), self._transaction(self._writer) as tx:
            yield tx
        for event in tx.events:
            _log.info(event.name, extra=event.fields)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that only reads, and sees one moment of the database throughout."""
        with self._transaction(self._reader) as tx:
            yield tx

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        if getattr(self._mine, "writes", False):
            raise RegistryError(
                "begin() within begin(): on SQLite, the inner one would wait for the outer one",
                hint="Use the transaction that is open already.",
            )
        self._mine.writes = True
        try:
            yield
        finally:
            self._mine.writes = False

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Transaction]:
        if self._closed:
            raise HubClosed("the registry is closed", hint="Open a new Hub.")
        try:
            with Session(engine, autoflush=False, expire_on_commit=False) as session, session.begin():
                yield Transaction(session)
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise translate(error, engine.url) from error

    def close(self) -> None:
        """Give back the connections. Safe to call twice."""
        self._closed = True
        self._reader.dispose()
        self._writer.dispose()
