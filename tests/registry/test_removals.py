"""Purging a repository: which rows go, which bytes are marked, what holds it."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from modelhub.errors import InUse, RepositoryNotFound
from modelhub.facts import (
    BlobRecord,
    BlobState,
    InstanceRecord,
    InstanceStatus,
    JobKind,
    ProcessMark,
    RepoId,
    SnapshotFile,
)
from modelhub.refs import RepoPath
from modelhub.registry import InstanceBook, StoreKey, StoreLedger
from modelhub.registry.statements import now
from modelhub.registry.tables import (
    ArtifactLocationRow,
    ArtifactRow,
    LeaseArtifactRow,
    LeaseRow,
    RepoRow,
    Row,
    StoreRow,
    VendorRow,
)
from tests.registry.samples import (
    COMMIT,
    EVIDENCE,
    FILES,
    OTHER,
    QWEN,
    WARNINGS,
    digest,
    file,
    listing,
    model,
    saved,
)

STORE = StoreKey("file:///store", "here")
TWIN = RepoId(source="huggingface", vendor="other", name="twin")
README, ONE, TWO = FILES


def stored(registry, *files, store=STORE):
    ledger = StoreLedger(registry, store.uri, host=store.host)
    ledger.record(
        BlobRecord(digest=f.sha256, size=f.size, state=BlobState.PRESENT, path=f"blobs/{f.sha256}")
        for f in files
    )


@pytest.fixture
def record(registry):
    """A repository with a row in every table that hangs on it, whose two shards are in the store."""
    record = saved(registry, listing(), listing(OTHER))
    with registry.begin() as tx:
        tx.revisions.set_digests(record.id, COMMIT, {f.path: f.sha256 for f in (ONE, TWO)})
        tx.models.save(record.id, COMMIT, [model()], EVIDENCE, WARNINGS)
        linked = [
            SnapshotFile(path=f.path, size=f.size, sha256=f.sha256, link="hardlink") for f in (ONE, TWO)
        ]
        tx.snapshots.save(record.id, COMMIT, f"snapshots/Qwen/x/{COMMIT}", linked, store=STORE)
        tx.approvals.allow(record.id, COMMIT, {"own.py": digest("own")})
    stored(registry, ONE, TWO)
    return record


def remove(registry, record, store=STORE):
    with registry.begin() as tx:
        return tx.removals.remove(record.id, store)


def doomed(registry, store=STORE):
    with registry.read() as tx:
        return set(tx.removals.doomed(store))


def rows(registry):
    """How many rows each table has; those that have none are left out."""
    with registry.read() as tx:
        counted = {
            name: tx.session.scalar(select(func.count()).select_from(table))
            for name, table in Row.metadata.tables.items()
        }
    return {name: count for name, count in counted.items() if count}


def test_every_row_goes_and_the_bytes_are_marked_in_the_same_transaction(registry, record):
    with registry.read() as tx:
        survey = tx.removals.survey(record.id, STORE)
    removal = remove(registry, record)
    assert removal == survey.model_copy(update={"dry_run": False})
    assert (removal.commits, removal.models, removal.kept) == (2, 1, ())
    assert [(f.path, f.sha256) for f in removal.removed] == [(f.path, f.sha256) for f in (ONE, TWO)]
    assert removal.removed_bytes == ONE.size + TWO.size
    assert removal.folders == (f"snapshots/Qwen/x/{COMMIT}",)
    assert doomed(registry) == {ONE.sha256, TWO.sha256}
    assert rows(registry) == {"store": 1, "model_artifact": 2, "artifact_location": 2}
    with registry.begin() as tx:
        for each in (ONE, TWO):
            assert tx.removals.confirm(each.sha256, STORE)
            tx.removals.gone(each.sha256, STORE)
    assert rows(registry) == {"store": 1}


def test_what_fails_removes_nothing(registry, record):
    before = rows(registry)

    def die():
        with registry.begin() as tx:
            tx.removals.remove(record.id, STORE)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        die()
    assert rows(registry) == before
    assert doomed(registry) == set()


def test_bytes_that_another_repository_lists_stay_and_it_is_named(registry, record):
    twin = saved(
        registry,
        listing("c" * 40, repo=TWIN, files=(file("copy.gguf", sha256=ONE.sha256, size=ONE.size),)),
    )
    removal = remove(registry, record)
    assert [(kept.sha256, kept.users) for kept in removal.kept] == [(ONE.sha256, (TWIN.id,))]
    assert [f.sha256 for f in removal.removed] == [TWO.sha256]
    assert doomed(registry) == {TWO.sha256}
    assert TWIN.id in str(removal)
    last = remove(registry, twin)
    assert [f.sha256 for f in last.removed] == [ONE.sha256]
    assert last.removed[0].path == "copy.gguf"


def test_a_forgotten_repository_still_keeps_its_bytes(registry, record):
    twin = saved(
        registry,
        listing("c" * 40, repo=TWIN, files=(file("copy.gguf", sha256=ONE.sha256, size=ONE.size),)),
    )
    with registry.begin() as tx:
        tx.repos.forget(twin.id)
    assert remove(registry, record).kept[0].users == (f"{TWIN.id} (forgotten)",)


def test_a_part_of_another_repositorys_model_keeps_its_bytes(registry, record):
    twin = saved(registry, listing("c" * 40, repo=TWIN, files=()))
    with registry.begin() as tx:  # its model's component lies in the repository that goes
        tx.models.save(twin.id, "c" * 40, [model()], (), ())
    removal = remove(registry, record)
    assert {kept.sha256 for kept in removal.kept} == {ONE.sha256, TWO.sha256}
    assert {kept.users for kept in removal.kept} == {(TWIN.id,)}


def test_a_snapshot_of_another_repository_keeps_its_bytes(registry, record):
    twin = saved(registry, listing("c" * 40, repo=TWIN, files=()))
    linked = [SnapshotFile(path=RepoPath("a"), size=ONE.size, sha256=ONE.sha256, link="copy")]
    with registry.begin() as tx:
        tx.snapshots.save(twin.id, "c" * 40, "snapshots/other/twin/c", linked, store=STORE)
    assert [kept.users for kept in remove(registry, record).kept] == [(TWIN.id,)]


def test_a_folder_that_two_repositories_share_stays(registry, record):
    mirror = RepoId(source="modelscope", vendor="Qwen", name="x")
    other = saved(registry, listing(repo=mirror, files=()))
    with registry.begin() as tx:
        tx.snapshots.save(other.id, COMMIT, f"snapshots/Qwen/x/{COMMIT}", (), store=STORE)
    assert remove(registry, record).folders == ()
    with registry.read() as tx:
        assert tx.removals.has_snapshot(f"snapshots/Qwen/x/{COMMIT}", STORE)
        assert not tx.removals.has_snapshot("snapshots/Qwen/x/y", STORE)


def test_bytes_that_are_stored_again_meanwhile_are_spared(registry, record):
    remove(registry, record)
    stored(registry, ONE)  # as a fetch or a proof of the same bytes records them
    with registry.begin() as tx:
        assert not tx.removals.confirm(ONE.sha256, STORE)
        assert not tx.removals.confirm(digest("nobody's"), STORE)
    assert doomed(registry) == {TWO.sha256}


def test_bytes_that_are_listed_again_meanwhile_are_spared(registry, record):
    remove(registry, record)
    saved(registry, listing())
    ledger = StoreLedger(registry, STORE.uri, host=STORE.host)
    assert ledger.find([ONE.sha256]) == {}
    with registry.begin() as tx:
        assert not tx.removals.confirm(ONE.sha256, STORE)
    assert ledger.find([ONE.sha256])[ONE.sha256].state is BlobState.PRESENT


def test_other_stores_keep_their_bytes_until_a_purge_there(registry, record):
    there = StoreKey("file:///store", "there")
    stored(registry, ONE, store=there)
    removal = remove(registry, record)
    assert removal.elsewhere == ("file:///store on there",)
    assert doomed(registry, there) == {ONE.sha256}
    with registry.begin() as tx:
        tx.removals.gone(ONE.sha256, STORE)
    with registry.read() as tx:
        assert tx.session.scalars(select(ArtifactRow.hash_sha256)).all() != []
        left = select(StoreRow.host).join(ArtifactLocationRow).join(ArtifactRow)
        assert tx.session.scalars(left.where(ArtifactRow.hash_sha256 == ONE.sha256)).all() == ["there"]


def test_a_vendor_stays_as_long_as_it_has_a_repository(registry, record):
    second = saved(registry, listing("c" * 40, repo=QWEN.model_copy(update={"name": "second"})))
    remove(registry, record)
    with registry.read() as tx:
        assert tx.session.scalars(select(VendorRow.vendor_key)).all() == ["qwen"]
        assert tx.session.scalars(select(RepoRow.id)).all() == [second.id]


def held(registry, record):
    with pytest.raises(InUse) as caught:
        remove(registry, record)
    assert doomed(registry) == set()
    with registry.read() as tx:
        assert tx.repos.get(record.id).id == record.id
    (holder,) = caught.value.details["holders"]
    return holder


def instance(repo, commit):
    return InstanceRecord(
        source="huggingface",
        repo=repo,
        commit=commit,
        model="qwen3-0.6b",
        variant="q4_k_m",
        digest=digest("v"),
        config=digest("c"),
        filename="model.gguf",
        runtime="echo",
        runtime_version="1",
        device="cpu",
        predicted_bytes=1,
        measured_bytes=None,
        process=ProcessMark(host="h", boot_id="b", pid=7, started=1),
    )


def test_a_loaded_model_holds_it(registry, record):
    book = InstanceBook(registry, lambda _: False)
    number = book.add(instance(QWEN.id, COMMIT), 60)
    assert held(registry, record) == "echo has model.gguf loaded in process 7 on h"
    book.beat({number: InstanceStatus.IDLE}, -1)  # its lease is over: whoever held it died
    assert remove(registry, record).removed


def test_a_loaded_model_that_has_parts_of_it_holds_it(registry, record):
    twin = saved(registry, listing("c" * 40, repo=TWIN, files=()))
    with registry.begin() as tx:  # an adapter, whose base lies in the repository that goes
        tx.models.save(twin.id, "c" * 40, [model()], (), ())
    book = InstanceBook(registry, lambda _: False)
    book.add(instance(TWIN.id, "c" * 40), 60)
    assert held(registry, record) == "echo has model.gguf loaded in process 7 on h"


def test_what_is_left_of_a_purged_repository_goes_with_the_last_that_uses_it(registry, record):
    twin = saved(registry, listing("c" * 40, repo=TWIN, files=()))
    with registry.begin() as tx:
        tx.models.save(twin.id, "c" * 40, [model()], (), ())
    assert remove(registry, record).kept
    removal = remove(registry, twin)
    assert {file.sha256 for file in removal.removed} == {ONE.sha256, TWO.sha256}
    assert removal.kept == ()


@pytest.mark.parametrize(
    ("kind", "payload", "says"),
    [
        (JobKind.ARTIFACT_DOWNLOAD, {"repo": QWEN.id}, "fetches it"),
        (JobKind.REPO_SYNC, {"ref": "huggingface://a/b"}, "reads huggingface://a/b"),
    ],
)
def test_a_running_job_holds_it(registry, record, kind, payload, says):
    with registry.begin() as tx:
        job, _ = tx.jobs.create(kind, "k", payload)
        assert tx.jobs.start(job.id, "me", 60)
    assert says in held(registry, record)
    with registry.begin() as tx:
        tx.jobs.abandon(job.id, "me")
    assert remove(registry, record).removed


def test_the_fetch_of_another_repository_holds_nothing(registry, record):
    with registry.begin() as tx:
        job, _ = tx.jobs.create(JobKind.ARTIFACT_DOWNLOAD, "k", {"repo": "other/twin"})
        assert tx.jobs.start(job.id, "me", 60)
    assert remove(registry, record).removed


def test_a_lease_on_its_bytes_holds_it(registry, record):
    with registry.begin() as tx:
        moment = now(tx.session)
        store = tx.session.scalars(select(StoreRow.id)).one()
        artifact = tx.session.scalars(
            select(ArtifactRow.id).where(ArtifactRow.hash_sha256 == ONE.sha256)
        ).one()
        lease = LeaseRow(
            store_id=store,
            owner="somebody",
            host="h",
            purpose="a link",
            expires_at=moment + timedelta(hours=1),
        )
        tx.session.add(lease)
        tx.session.flush()
        tx.session.add(LeaseArtifactRow(lease_id=lease.id, artifact_id=artifact))
    assert held(registry, record) == "somebody holds some of its bytes for a link"


def test_who_pulls_or_loads_it_or_what_builds_on_it_holds_it(registry, record):
    """An adapter's base stays while the adapter is loaded."""
    twin = saved(registry, listing("c" * 40, repo=TWIN, files=()))
    with registry.begin() as tx:
        tx.models.save(twin.id, "c" * 40, [model()], (), ())

    def take(number, seconds):
        with registry.begin() as tx:
            return tx.leases.take(
                number, store=STORE, owner="h:7:a", host="h", purpose="loading it", seconds=seconds
            )

    for one in (record, twin):
        take(one.id, -3700)  # over, for an hour
        lease = take(one.id, 60)
        assert held(registry, record) == "h:7:a is loading it"
        with registry.begin() as tx:
            tx.leases.renew(lease, 90)
            tx.leases.expire()
            assert tx.leases.owners() == ((lease, "h:7:a", "h", None),)
            tx.leases.release(lease)
    assert remove(registry, record).kept
    with pytest.raises(RepositoryNotFound, match="purged meanwhile"):
        take(record.id, 60)


def test_an_unknown_number_is_refused(registry):
    with registry.begin() as tx:
        for ask in (tx.removals.survey, tx.removals.remove):
            with pytest.raises(RepositoryNotFound, match="99"):
                ask(99, STORE)


def test_every_table_that_hangs_on_a_repository_goes_with_it():
    """A new table whose rows would be left behind fails here: it must cascade, or let go."""
    for name, table in Row.metadata.tables.items():
        for key in table.foreign_keys:
            if key.column.table.name in {
                "model_repo",
                "model_repo_revision",
                "snapshot",
                "logical_model",
                "model_variant",
            }:
                assert key.ondelete in {"CASCADE", "SET NULL"}, f"{name}.{key.parent.name}"


def test_jobs_say_which_purges_were_cut_short(registry):
    with registry.begin() as tx:
        whole, _ = tx.jobs.create(JobKind.REPO_PURGE, "a", {"store": "s"})
        other, _ = tx.jobs.create(JobKind.REPO_PURGE, "b", {"store": "t", "removal": {}})
        assert tx.jobs.purges_left("s") == ()
        tx.jobs.amend(whole.id, {"store": "s", "removal": {}})
        assert [job.id for job in tx.jobs.purges_left("s")] == [whole.id]
        assert [job.id for job in tx.jobs.purges_left("t")] == [other.id]
