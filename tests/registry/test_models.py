"""Models, variants, components and evidence, in and out."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from modelhub.errors import RevisionNotFound
from modelhub.facts import Component, RepoId, Report
from tests.registry import facts
from tests.registry.samples import (
    COMMIT,
    EVIDENCE,
    FILES,
    OTHER,
    WARNINGS,
    digest,
    file,
    listing,
    model,
    new_commit,
    register,
    saved,
)

many = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@many
@given(
    one=facts.listing,
    models=st.lists(facts.model, max_size=2).map(tuple),
    evidence=st.lists(facts.evidence, max_size=3).map(tuple),
    warnings=st.lists(facts.warning, max_size=2).map(tuple),
)
def test_a_report_comes_back_as_it_was(registry, one, models, evidence, warnings):
    record = register(registry)
    one = one.model_copy(update={"commit": new_commit()})
    with registry.begin() as tx:
        tx.revisions.save(record.id, one)
        assert tx.models.report(record.id, one.commit) is None
        tx.models.save(record.id, one.commit, models, evidence, warnings)
    with registry.read() as tx:
        found = tx.models.report(record.id, one.commit)
    assert found == Report(
        repo=record.repo.id,
        source="huggingface",
        commit=one.commit,
        license=one.license,
        warnings=warnings,
        models=models,
        facts=evidence,
    )


def report(registry, record, commit=COMMIT):
    with registry.read() as tx:
        return tx.models.report(record.id, commit)


def save(registry, record, *models, commit=COMMIT):
    with registry.begin() as tx:
        tx.models.save(record.id, commit, models, EVIDENCE, WARNINGS)


def test_nothing_is_known_before_it_is_saved(registry):
    record = saved(registry)
    assert report(registry, record) is None
    save(registry, record)
    assert report(registry, record).models == ()
    assert report(registry, record, OTHER) is None


def test_saving_again_replaces(registry):
    record = saved(registry)
    save(registry, record, model(), model(name="second"))
    save(registry, record, model(name="third"))
    found = report(registry, record)
    assert found.models == (model(name="third"),)
    assert found.facts == EVIDENCE
    assert found.warnings == WARNINGS


def ids(registry, table):
    with registry.read() as tx:
        return tx.session.execute(text(f"SELECT id FROM {table} ORDER BY id")).scalars().all()


def written(registry):
    """When each row of the findings was written; those that know, when it changed."""
    columns = {"logical_model": "updated_at", "model_variant": "updated_at"}
    columns |= {"logical_model_component": "created_at", "fact": "created_at"}
    with registry.read() as tx:
        return [
            tx.session.execute(text(f"SELECT id, {moment} FROM {table} ORDER BY id")).all()
            for table, moment in columns.items()
        ]


def called(*names, **given):
    """Variants of these names."""
    (plain,) = model().variants
    return tuple(plain.model_copy(update={"name": name, **given}) for name in names)


def test_saving_the_same_again_writes_nothing(registry):
    record = saved(registry)
    found = (model(variants=called("q4", "q8")), model(name="second", variants=called("q4")))
    save(registry, record, *found)
    before = written(registry), ids(registry, "component_file")
    save(registry, record, *found)
    assert (written(registry), ids(registry, "component_file")) == before
    assert report(registry, record).models == found


def test_what_is_found_again_keeps_its_row(registry):
    """Logs and loaded instances point at it."""
    record = saved(registry)
    save(registry, record, model(variants=called("q4", "q8", "q2")), model(name="goes"))
    model_id, _ = ids(registry, "logical_model")
    q4, q8, _, _ = ids(registry, "model_variant")
    changed = model(
        architecture="qwen3moe",
        details={"eps": True},
        variants=(*called("new"), *called("q8", precision="q8_0"), *called("q4")),
    )
    save(registry, record, model(name="first"), changed)
    assert report(registry, record).models == (model(name="first"), changed)
    with registry.read() as tx:
        found = tx.session.execute(
            text("SELECT id, variant_name, logical_model_id FROM model_variant WHERE id IN (:a, :b)"),
            {"a": q4, "b": q8},
        ).all()
    assert sorted(found) == [(q4, "q4", model_id), (q8, "q8", model_id)]


@many
@given(
    before=st.lists(facts.model, max_size=3).map(tuple),
    after=st.lists(facts.model, max_size=3).map(tuple),
    swap=st.booleans(),
)
def test_whatever_was_there_the_new_findings_are_what_is_found(registry, before, after, swap):
    record = register(registry)
    commit = new_commit()
    second = (*after, *reversed(before)) if swap else after
    with registry.begin() as tx:
        tx.revisions.save(record.id, listing(commit))
        tx.models.save(record.id, commit, before, EVIDENCE, ())
    with registry.begin() as tx:
        tx.models.save(record.id, commit, second, EVIDENCE[:1], ())
    found = report(registry, record, commit)
    assert (found.models, found.facts) == (second, EVIDENCE[:1])


@pytest.mark.parametrize("table", ["logical_model", "model_variant"])
def test_a_number_is_never_used_again(registry, table):
    """Or what was said of a model that is gone would be said of another."""
    record = saved(registry)
    save(registry, record, model())
    last = max(ids(registry, table))
    save(registry, record)
    save(registry, record, model(name="another"))
    assert min(ids(registry, table)) > last


def test_a_part_of_another_source_whose_commit_is_unknown(registry):
    part = Component(name="base", repo="a/b", commit=None, source="modelscope", files=(file("x"),))
    record = saved(registry)
    save(registry, record, with_part(part))
    assert report(registry, record).models == (with_part(part),)


def test_nothing_is_null_in_the_database_too(registry):
    """JSON's null would be a value, which no query for missing ones finds."""
    record = saved(registry)
    save(registry, record, model())
    with registry.read() as tx:
        for where in ("fact WHERE value IS NULL", "model_repo WHERE sync_error IS NULL"):
            assert tx.session.scalar(text(f"SELECT count(*) FROM {where}")) == 1


def test_each_commit_has_its_own_models(registry):
    record = saved(registry, listing(), listing(OTHER))
    save(registry, record, model())
    save(registry, record, model(name="newer"), commit=OTHER)
    assert report(registry, record).models == (model(),)
    assert report(registry, record, OTHER).models == (model(name="newer"),)


def test_saving_of_a_commit_that_was_never_listed(registry):
    record = saved(registry)
    with registry.begin() as tx, pytest.raises(RevisionNotFound):
        tx.models.save(record.id, OTHER, (), (), ())


def with_part(part: Component):
    variant = (
        model().variants[0].model_copy(update={"components": (*model().variants[0].components, part)})
    )
    return model(variants=(variant,))


def test_a_component_may_lie_in_another_repository(registry):
    vae_repo = RepoId(source="huggingface", vendor="stabilityai", name="sd-vae")
    vae_file = file("vae/diffusion.safetensors")
    part = Component(name="vae", repo=vae_repo.id, commit=OTHER, files=(vae_file,), folder="vae")
    record = saved(registry)

    # The other repository is not registered: the report has the file all the same.
    save(registry, record, with_part(part))
    assert report(registry, record).models == (with_part(part),)

    # It is: what is learnt of its file is seen through the component.
    other = saved(registry, listing(OTHER, repo=vae_repo, files=(vae_file,)))
    save(registry, record, with_part(part))
    assert report(registry, record).models == (with_part(part),)
    with registry.begin() as tx:
        tx.revisions.set_digests(other.id, OTHER, {vae_file.path: digest("vae")})
    vae = report(registry, record).models[0].variants[0].components[1]
    assert [one.sha256 for one in vae.files] == [digest("vae")]


def test_a_hash_that_is_learnt_later_shows_in_the_report(registry):
    config = file("config.json", git_oid="e" * 40)
    record = saved(registry, listing(files=(*FILES, config)))
    part = Component(name="config", repo="Qwen/Qwen3-0.6B-GGUF", commit=COMMIT, files=(config,))
    save(registry, record, with_part(part))
    assert report(registry, record).models == (with_part(part),)
    with registry.begin() as tx:
        tx.revisions.set_digests(record.id, COMMIT, {config.path: digest("{}")})
    known = config.model_copy(update={"sha256": digest("{}")})
    assert report(registry, record).models == (with_part(part.model_copy(update={"files": (known,)})),)


def test_of_two_repositories_with_one_commit_the_right_file_is_meant(registry):
    mirror = RepoId(source="modelscope", vendor="Qwen", name="Qwen3-0.6B-GGUF")
    bare = tuple(one.model_copy(update={"sha256": None}) for one in FILES)
    saved(registry, listing(repo=mirror, files=bare))
    record = saved(registry, listing(files=bare))
    part = model().variants[0].components[0].model_copy(update={"files": bare})
    save(registry, record, with_part(part))
    with registry.begin() as tx:
        tx.revisions.set_digests(record.id, COMMIT, {bare[1].path: digest("one")})
    files = report(registry, record).models[0].variants[0].components[1].files
    assert [one.sha256 for one in files] == [None, digest("one"), None]


def test_a_revived_repository_keeps_its_models(registry):
    record = saved(registry)
    save(registry, record, model())
    with registry.begin() as tx:
        tx.repos.forget(record.id)
    assert register(registry).id == record.id
    assert report(registry, record).models == (model(),)
