"""The schema: one history, the same from migrations as from tables, and safe to bring up at once."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from modelhub.errors import RegistryError, SchemaMismatch
from modelhub.facts import Evidence
from modelhub.registry import ModelQuery, Registry, schema
from modelhub.registry.engine import make_engine
from modelhub.registry.revision_ids import HEAD, REVISIONS
from modelhub.registry.tables import Row
from tests.registry.catalog import FIRST, fill
from tests.registry.samples import COMMIT, listing, model, saved


@pytest.fixture
def engine(empty_database_url):
    made = make_engine(empty_database_url)
    yield made
    made.dispose()


def tables(engine):
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_one_history_that_ends_where_the_code_says(engine):
    with engine.connect() as connection:
        scripts = ScriptDirectory.from_config(schema.config(connection))
    (head,) = scripts.get_heads()
    assert head == HEAD == schema.head()
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS


def test_up_down_up_step_by_step(engine):
    assert schema.current(engine) is None
    for revision in REVISIONS:
        before = tables(engine)
        schema.upgrade(engine, revision)
        after = tables(engine)
        schema.downgrade(engine, "-1")
        assert tables(engine) == before
        schema.upgrade(engine, revision)
        assert tables(engine) == after
        assert schema.current(engine) == revision
    schema.check(engine)
    assert tables(engine) == set(Row.metadata.tables)
    schema.downgrade(engine, "base")
    assert tables(engine) == set()
    assert schema.current(engine) is None


def test_migrations_and_tables_agree(engine):
    schema.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Row.metadata) == []


def details(engine):
    """Everything that a database says of its tables, beyond what Alembic compares."""
    seen = inspect(engine)
    said = {}
    for table in sorted(tables(engine)):
        said[table] = {
            "columns": {
                c["name"]: (str(c["type"]), c["nullable"], c["default"]) for c in seen.get_columns(table)
            },
            "checks": sorted((c["name"], c["sqltext"]) for c in seen.get_check_constraints(table)),
            "unique": sorted(map(repr, seen.get_unique_constraints(table))),
            "keys": (
                seen.get_pk_constraint(table)["name"],
                seen.get_pk_constraint(table)["constrained_columns"],
            ),
            "foreign": sorted(map(repr, seen.get_foreign_keys(table))),
            "indexes": sorted(map(_index, seen.get_indexes(table))),
            "options": {
                k: v for k, v in seen.get_table_options(table).items() if k != "postgresql_tablespace"
            },
        }
    return said


def _index(index):
    where = {key: str(value) for key, value in index.get("dialect_options", {}).items()}
    return (
        index["name"],
        tuple(index["column_names"]),
        bool(index["unique"]),
        repr(sorted(where.items())),
    )


def test_a_migrated_database_is_what_the_tables_describe_to_the_last_constraint(engine):
    schema.upgrade(engine)
    migrated = details(engine)
    assert migrated["job"]["checks"], "checks are seen"
    schema.downgrade(engine, "base")
    Row.metadata.create_all(engine)
    assert migrated == details(engine)


def test_rows_follow_their_repository(engine, empty_database_url):
    """The foreign keys of the migrated database do what the tables say."""
    schema.upgrade(engine)
    with engine.begin() as connection:
        foreign = inspect(connection).get_foreign_keys("repo_file")
    actions = {key["constrained_columns"][0]: key["options"]["ondelete"] for key in foreign}
    assert actions == {
        "model_repo_id": "CASCADE",
        "revision_id": "CASCADE",
        "storage_artifact_id": "SET NULL",
    }


def test_a_generated_revision_needs_nothing_of_ours_and_replays(engine, tmp_path):
    """Types of ours are written out, so that a later change to them does not change history."""
    with engine.connect() as connection, connection.begin():
        config = schema.config(connection)
        config.set_main_option("version_locations", str(tmp_path))
        config.set_main_option("path_separator", "newline")
        command.revision(config, "Made", autogenerate=True, rev_id="made", version_path=str(tmp_path))
        code = (tmp_path / "made_made.py").read_text()
        assert "modelhub" not in code
        assert "create_table('job'" in code
        command.upgrade(config, "head")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Row.metadata) == []


def test_an_empty_database_is_refused_with_the_way_out(empty_database_url):
    embedded = empty_database_url.startswith("sqlite")
    with pytest.raises(
        SchemaMismatch, match=f"has no schema yet, and this modelhub needs {HEAD}"
    ) as caught:
        Registry.open(empty_database_url, migrate=False if embedded else None)
    assert "modelhub db upgrade" in caught.value.hint
    assert Registry.revisions(empty_database_url) == (None, HEAD)
    assert Registry.upgrade(empty_database_url) == (None, HEAD)
    assert Registry.upgrade(empty_database_url) == (HEAD, HEAD)
    Registry.open(empty_database_url).close()


def stamp(url, revision):
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": revision})
    engine.dispose()


def test_an_old_schema_is_refused_with_the_way_out(database_url, monkeypatch):
    monkeypatch.setattr(schema, "HEAD", "9999")
    with pytest.raises(SchemaMismatch, match=rf"has the schema {HEAD}, .* needs 9999") as caught:
        Registry.open(database_url, migrate=False)
    assert "modelhub db upgrade" in caught.value.hint
    assert (caught.value.details["found"], caught.value.details["wanted"]) == (HEAD, "9999")


@pytest.mark.parametrize("migrate", [None, True, False])
def test_a_newer_schema_is_refused(database_url, migrate):
    stamp(database_url, "9999")
    try:
        with pytest.raises(SchemaMismatch, match="modelhub is older than the database") as caught:
            Registry.open(database_url, migrate=migrate)
        assert "pip install --upgrade" in caught.value.hint
    finally:
        stamp(database_url, HEAD)


def test_many_processes_bring_up_one_database_at_once(empty_database_url, tmp_path):
    start = tmp_path / "start"
    script = (
        "import sys, time, pathlib\n"
        "from modelhub.registry import Registry\n"
        "print('ready', flush=True)\n"
        "while not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.001)\n"
        "Registry.open(sys.argv[1], migrate=True).close()\n"
    )
    command = [sys.executable, "-W", "error", "-c", script, empty_database_url, str(start)]
    crowd = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in crowd:
        assert process.stdout.readline() == "ready\n"
    start.touch()
    errors = [process.communicate(timeout=120)[1] for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 4, errors
    registry = Registry.open(empty_database_url, migrate=False)
    registry.close()


def test_a_migration_that_fails_leaves_nothing(engine, monkeypatch):
    def fail(config, revision):
        connection = config.attributes["connection"]
        connection.execute(text("CREATE TABLE half (id INTEGER)"))
        raise RuntimeError("power cut")

    monkeypatch.setattr(command, "upgrade", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        schema.upgrade(engine)
    monkeypatch.undo()
    assert tables(engine) == set()
    schema.upgrade(engine)
    schema.check(engine)


def test_a_migration_may_not_leave_rows_that_point_at_nothing(tmp_path, monkeypatch):
    engine = make_engine(f"sqlite:///{tmp_path}/modelhub.db")
    schema.upgrade(engine)

    def break_it(config, revision):
        columns = "source, vendor_key, name, created_at, updated_at"
        connection = config.attributes["connection"]
        connection.execute(text(f"INSERT INTO model_vendor ({columns}) VALUES ('s', 'k', 'n', '', '')"))
        connection.execute(text("INSERT INTO lease_artifact (lease_id, artifact_id) VALUES (1, 1)"))

    monkeypatch.setattr(command, "upgrade", break_it)
    with pytest.raises(RegistryError, match="rows of lease_artifact that point at nothing"):
        schema.upgrade(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM model_vendor")) == 0
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
    engine.dispose()


def test_revisions_do_not_import_the_tables():
    folder = Path(schema.__file__).parent / "migrations" / "versions"
    for revision in folder.glob("*.py"):
        assert "modelhub" not in revision.read_text()


def test_a_database_of_before_can_be_searched_after(engine, empty_database_url):
    """What 0003 makes of stored rows is what syncing makes of the same."""
    schema.upgrade(engine)
    registry = Registry.open(empty_database_url, migrate=False)
    try:
        fill(registry, 60)
        record = saved(registry, listing())
        evidence = (
            Evidence(subject="repository", key="license", value="MIT", evidence="card", trust=30),
            Evidence(subject="model:a", key="license", value="GPL-3.0+, cc0", evidence="h", trust=100),
            Evidence(subject="model:b", key="license", value=["x"], evidence="h", trust=100),
            Evidence(subject="model:b", key="size", value="mit", evidence="h", trust=100),
            Evidence(subject="model:c", key="license", value=None, evidence="h", trust=100),
        )
        names = ("a", "b", "c", "Straße " + "é" * 200)
        with registry.begin() as tx:
            tx.models.save(record.id, COMMIT, tuple(model(name=n) for n in names), evidence, ())
            tx.repos.forget(FIRST)
        before = listed(engine)
        schema.downgrade(engine, "0002")
        schema.upgrade(engine)
        assert listed(engine) == before
        assert len(before[0]) == 63
        assert {row.license for row in before[0]} >= {"mit", "cc0-1.0, gpl-3.0"}
        with registry.read() as tx:
            assert [e.name for e in tx.search.page(ModelQuery(text="strasse"), 9)] == [names[-1]]
    finally:
        registry.close()


def listed(engine):
    with engine.connect() as connection:
        return tuple(
            connection.execute(text(f"SELECT * FROM {table} ORDER BY {order}")).all()
            for table, order in (("listed_model", "model_id"), ("listed_word", "model_id, word"))
        )
