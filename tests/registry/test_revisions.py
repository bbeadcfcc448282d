"""Listings of commits, branches and tags, hashes of files."""

import pytest
from hypothesis import HealthCheck, given, settings

from modelhub.errors import FileNotInRepository, IntegrityError, RepositoryNotFound, RevisionNotFound
from modelhub.facts import FileKind, RepoId
from tests.registry import facts
from tests.registry.samples import (
    COMMIT,
    FILES,
    OTHER,
    QWEN,
    digest,
    file,
    listing,
    new_commit,
    register,
    saved,
)

many = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@many
@given(one=facts.listing)
def test_a_listing_comes_back_as_it_was(registry, one):
    record = register(registry)
    one = one.model_copy(update={"commit": new_commit()})
    with registry.begin() as tx:
        tx.revisions.save(record.id, one)
    with registry.read() as tx:
        assert tx.revisions.listing(record.id, one.commit) == one


def test_saving_marks_the_default_branch(registry):
    record = saved(registry, listing(default_branch="trunk", revision="trunk"))
    assert (record.git_head, record.default_branch) == (COMMIT, "trunk")
    assert record.last_synced_at is not None
    with registry.read() as tx:
        assert tx.revisions.resolve(record.id, None) == COMMIT
        assert tx.revisions.refs(record.id) == (("trunk", COMMIT),)


def test_another_branch_leaves_the_default_branch_alone(registry):
    record = saved(registry, listing(), listing(OTHER, revision="v1.0", default_branch="main"))
    assert record.git_head == COMMIT
    with registry.read() as tx:
        assert tx.revisions.resolve(record.id, None) == COMMIT
        assert tx.revisions.resolve(record.id, "v1.0") == OTHER
        assert tx.revisions.refs(record.id) == (("v1.0", OTHER), ("main", COMMIT))


def test_a_branch_means_what_it_meant_last_even_when_it_goes_back(registry):
    record = saved(registry, listing(), listing(OTHER))
    with registry.read() as tx:
        assert tx.revisions.resolve(record.id, "main") == OTHER
        assert tx.revisions.resolve(record.id, None) == OTHER
        assert tx.revisions.refs(record.id) == (("main", OTHER),)
    saved(registry, listing())
    with registry.read() as tx:
        assert tx.revisions.resolve(record.id, "main") == COMMIT
        assert tx.revisions.resolve(record.id, None) == COMMIT
        assert tx.revisions.refs(record.id) == (("main", COMMIT),)
        assert tx.revisions.listing(record.id, OTHER).commit == OTHER


def test_resolve_takes_commits_prefixes_and_names(registry):
    first, second = "abcdef0" + "1" * 33, "abcdef0" + "2" * 33
    record = saved(
        registry,
        listing(first, revision=first),
        listing(second, revision="Feature/X"),
        listing("c" * 40, revision="abcdef01"),
    )
    with registry.read() as tx:
        meanings = {
            first: first,
            first.upper(): first,
            "d" * 40: None,
            "abcdef02": second,
            "abcdef0": None,  # of two commits
            "abcdef": None,  # too short
            "abcdef01": "c" * 40,  # a name goes before digits
            "Feature/X": second,
            "feature/x": None,
            "main": None,
        }
        assert {asked: tx.revisions.resolve(record.id, asked) for asked in meanings} == meanings
        assert tx.revisions.resolve(record.id, None) is None
        assert tx.revisions.resolve(record.id + 1, first) is None
        assert tx.revisions.listing(record.id, "d" * 40) is None


def test_a_commit_is_no_branch_of_its_own(registry):
    record = saved(registry, listing(revision=COMMIT), listing(revision=COMMIT[:9].upper()))
    with registry.read() as tx:
        assert tx.revisions.refs(record.id) == ()


@pytest.mark.parametrize("name", [COMMIT[:4], COMMIT[:6], COMMIT + "a", "b" * 9])
def test_a_branch_may_look_like_a_commit(registry, name):
    record = saved(registry, listing(revision=name))
    with registry.read() as tx:
        assert tx.revisions.refs(record.id) == ((name, COMMIT),)
        assert tx.revisions.resolve(record.id, name) == COMMIT


def test_saving_again_adds_what_was_not_known(registry):
    bare = tuple(one.model_copy(update={"sha256": None, "xet_hash": None}) for one in FILES)
    record = saved(registry, listing(files=bare), listing(revision="v1", gated=True))
    with registry.read() as tx:
        assert tx.revisions.listing(record.id, COMMIT) == listing(revision="v1", gated=True)


def test_saving_less_forgets_nothing(registry):
    bare = tuple(
        one.model_copy(update={"sha256": None, "xet_hash": None, "git_oid": None}) for one in FILES
    )
    record = saved(registry, listing(), listing(files=bare))
    with registry.read() as tx:
        assert tx.revisions.listing(record.id, COMMIT) == listing()


@pytest.mark.parametrize(
    ("files", "what"),
    [
        (FILES[:2], "model-00002"),
        ((*FILES, file("new")), "'new'"),
        ((FILES[0], FILES[1].model_copy(update={"sha256": digest("else")}), FILES[2]), "sha256"),
        ((FILES[0].model_copy(update={"size": 1}), *FILES[1:]), "size"),
        ((FILES[0].model_copy(update={"git_oid": "e" * 40}), *FILES[1:]), "git id"),
    ],
)
def test_a_commit_that_changed_is_refused_and_nothing_is_written(registry, files, what):
    record = saved(registry)
    with pytest.raises(IntegrityError, match=what), registry.begin() as tx:
        tx.revisions.save(record.id, listing(files=files, revision="other"))
    with registry.read() as tx:
        assert tx.revisions.listing(record.id, COMMIT) == listing()
        assert tx.revisions.resolve(record.id, "other") is None


def test_saving_corrects_the_spelling_but_keeps_another_name(registry):
    shout = RepoId(source="huggingface", vendor="QWEN", name="qwen3-0.6b-gguf")
    record = register(registry, shout)
    with registry.begin() as tx:
        tx.revisions.save(record.id, listing())
    moved = RepoId(source="huggingface", vendor="NewOwner", name="Renamed")
    with registry.begin() as tx:
        assert tx.repos.get(record.id).repo == QWEN
        tx.revisions.save(record.id, listing(OTHER, repo=moved))
    with registry.read() as tx:
        assert tx.repos.get(record.id).repo == QWEN
        assert tx.revisions.listing(record.id, OTHER).repo == QWEN


def test_a_listing_with_thousands_of_files(registry):
    files = tuple(file(f"{number}.bin", sha256=digest(str(number))) for number in range(3000))
    record = saved(registry, listing(files=files))
    with registry.begin() as tx:
        tx.revisions.set_digests(record.id, COMMIT, {one.path: one.sha256 for one in files})
    with registry.read() as tx:
        assert tx.revisions.listing(record.id, COMMIT).files == files


def test_a_part_of_a_listing(registry):
    files = tuple(file(f"{number}.bin", sha256=digest(str(number))) for number in range(1200))
    record = saved(registry, listing(files=files), listing(OTHER, files=(file("1.bin"), file("b.bin"))))
    with registry.read() as tx:
        part = tx.revisions.listing(record.id, COMMIT, ["7.bin", "1.bin", "b.bin", "1.bin"])
        assert part == listing(files=(files[1], files[7]))
        assert tx.revisions.listing(record.id, COMMIT, (one.path for one in files)).files == files
        assert tx.revisions.listing(record.id, COMMIT, []).files == ()
        assert tx.revisions.listing(record.id, "f" * 40, ["1.bin"]) is None


def test_the_small_files_of_some_kinds(registry):
    one = file("one/config.json", size=10, kind=FileKind.CONFIG)
    large = file("large/config.json", size=11, kind=FileKind.CONFIG)
    card, code = file("README.md", size=9, kind=FileKind.CARD), file("a.py", size=5, kind=FileKind.CODE)
    record = saved(registry, listing(files=(one, large, code, card)), listing(OTHER, files=(one, card)))
    with registry.read() as tx:
        kinds = (FileKind.CARD, FileKind.CONFIG)
        assert tx.revisions.files_of_kind(record.id, COMMIT, kinds, 10) == (one, card)
        assert tx.revisions.files_of_kind(record.id, OTHER, kinds[1:], 10) == (one,)
        assert tx.revisions.files_of_kind(record.id, "f" * 40, kinds, 10) == ()


def test_set_digests_are_seen_in_the_listing(registry):
    record = saved(registry)
    with registry.begin() as tx:
        tx.revisions.set_digests(record.id, COMMIT, {"README.md": digest("card")})
    with registry.read() as tx:
        readme, *rest = tx.revisions.listing(record.id, COMMIT).files
    assert readme == FILES[0].model_copy(update={"sha256": digest("card")})
    assert tuple(rest) == FILES[1:]


def test_set_digests_of_what_is_not_there(registry):
    record = saved(registry)
    with registry.begin() as tx:
        with pytest.raises(FileNotInRepository, match=r"no\.such"):
            tx.revisions.set_digests(record.id, COMMIT, {"no.such": digest("x")})
        with pytest.raises(RevisionNotFound):
            tx.revisions.set_digests(record.id, OTHER, {"README.md": digest("x")})
        with pytest.raises(RepositoryNotFound):
            tx.revisions.save(record.id + 1, listing())


def test_holders_are_all_repositories_with_the_same_bytes(registry):
    first = saved(registry)
    fork = RepoId(source="huggingface", vendor="fork", name="same")
    bare = tuple(one.model_copy(update={"sha256": None}) for one in FILES)
    second = saved(
        registry, listing(OTHER, repo=fork, files=bare), listing(COMMIT, repo=fork, files=bare)
    )
    with registry.begin() as tx:
        tx.revisions.set_digests(second.id, OTHER, {FILES[1].path: digest("one")})
        tx.revisions.set_digests(second.id, COMMIT, {FILES[1].path: digest("one")})
    with registry.begin() as tx:
        assert tx.revisions.holders(digest("one")) == ((QWEN, FILES[1].path), (fork, FILES[1].path))
        assert tx.revisions.holders(digest("two")) == ((QWEN, FILES[2].path),)
        assert tx.revisions.holders(digest("none")) == ()
        tx.repos.forget(first.id)
        assert tx.revisions.holders(digest("one")) == ((fork, FILES[1].path),)
