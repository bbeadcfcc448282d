"""Registering, finding, listing and forgetting repositories."""

import logging

import pytest

from modelhub.errors import DatabaseUnavailable, InvalidInput, RegistryError, RepositoryNotFound
from modelhub.facts import RepoId, SyncStatus
from tests.registry.samples import QWEN, listing, only_postgres, register, saved


def test_register_records_what_was_given(registry):
    record = register(
        registry,
        task_hints=("text-generation",),
        preferred_format="gguf",
        preferred_precision="q8_0",
        quantization_targets=("q5_k_m",),
    )
    assert record.repo == QWEN
    assert record.source_uri == "huggingface://Qwen/Qwen3-0.6B-GGUF"
    assert (record.default_branch, record.git_head, record.last_synced_at) == ("main", None, None)
    assert record.sync_status is SyncStatus.INIT
    assert (record.task_hints, record.quantization_targets) == (("text-generation",), ("q5_k_m",))
    assert (record.preferred_format, record.preferred_precision) == ("gguf", "q8_0")
    assert record.created_at.tzinfo is not None
    with registry.read() as tx:
        assert tx.repos.get(record.id) == record


def test_registering_again_keeps_the_row_and_replaces_only_what_is_given(registry):
    first = register(registry, task_hints=("text-generation",), preferred_format="gguf")
    shout = RepoId(source="huggingface", vendor="QWEN", name="QWEN3-0.6b-gguf")
    again = register(registry, shout, source_uri="https://mirror.example/x", preferred_format="onnx")
    assert again.id == first.id
    assert again.repo == QWEN
    assert again.source_uri == "https://mirror.example/x"
    assert again.task_hints == ("text-generation",)
    assert again.preferred_format == "onnx"


def test_the_same_name_at_another_source_is_another_repository(registry):
    here = register(registry)
    there = register(registry, RepoId(source="modelscope", vendor="Qwen", name="Qwen3-0.6B-GGUF"))
    assert here.id != there.id


def test_find_compares_without_case_and_narrows(registry):
    gpt2 = register(registry, RepoId(source="huggingface", vendor="", name="gpt2"))
    fork = register(registry, RepoId(source="huggingface", vendor="Someone", name="GPT2"))
    local = register(registry, RepoId(source="local", vendor="local", name="gpt2"))
    with registry.read() as tx:
        assert {record.id for record in tx.repos.find("Gpt2")} == {gpt2.id, fork.id, local.id}
        assert tx.repos.find("GPT2", vendor="") == (gpt2,)
        assert tx.repos.find("gpt2", vendor="SOMEONE") == (fork,)
        assert tx.repos.find("gpt2", source="local") == (local,)
        assert tx.repos.find("gpt2", vendor="nobody") == ()
        assert tx.repos.find("gpt3") == ()


def test_find_by_uri(registry):
    record = register(registry, RepoId(source="local", vendor="local", name="m"), source_uri="file:///m")
    with registry.read() as tx:
        assert tx.repos.find_by_uri("local", "file:///m") == record
        assert tx.repos.find_by_uri("local", "file:///n") is None
        assert tx.repos.find_by_uri("huggingface", "file:///m") is None


def test_pages_cover_everything_once_in_order(registry):
    names = [("b", "x"), ("A", "y"), ("a", "Z"), ("", "gpt2"), ("a-b", "q"), ("a.b", "q"), ("a", "y_")]
    for vendor, name in names:
        register(registry, RepoId(source="huggingface", vendor=vendor, name=name))
    register(registry, RepoId(source="modelscope", vendor="b", name="x"))
    seen, last = [], None
    with registry.read() as tx:
        while page := tx.repos.list(3, last):
            assert len(page) <= 3
            seen += page
            last = page[-1]
    assert [record.repo.key[1:] for record in seen] == sorted(record.repo.key[1:] for record in seen)
    assert len({record.id for record in seen}) == len(seen) == len(names) + 1


def test_forgotten_is_not_found_until_it_is_registered_again(registry):
    record = saved(registry)
    with registry.begin() as tx:
        tx.repos.forget(record.id)
    with registry.read() as tx:
        assert tx.repos.find(QWEN.name) == ()
        assert tx.repos.list(10) == ()
        assert tx.repos.find_by_uri("huggingface", record.source_uri) is None
        assert tx.repos.get(record.id).id == record.id
    assert register(registry).id == record.id
    with registry.read() as tx:
        assert [found.id for found in tx.repos.find(QWEN.name)] == [record.id]
        assert tx.revisions.resolve(record.id, None) == listing().commit


def test_status_and_its_error(registry):
    record = register(registry)
    with registry.begin() as tx:
        tx.repos.set_status(record.id, SyncStatus.ERROR, {"code": "offline", "message": "no\x00net"})
    with registry.read() as tx:
        found = tx.repos.get(record.id)
    assert found.sync_status is SyncStatus.ERROR
    assert found.sync_error == {"code": "offline", "message": "no\x00net"}
    with registry.begin() as tx:
        tx.repos.set_status(record.id, SyncStatus.COMPLETED)
        assert tx.repos.get(record.id).sync_error is None


def test_spelling_may_change_but_not_the_name(registry):
    record = register(registry)
    with registry.begin() as tx:
        tx.repos.set_spelling(
            record.id, RepoId(source="huggingface", vendor="qwen", name="qwen3-0.6b-gguf")
        )
    with registry.begin() as tx:
        assert tx.repos.get(record.id).repo.id == "qwen/qwen3-0.6b-gguf"
        with pytest.raises(InvalidInput, match="does not spell"):
            tx.repos.set_spelling(record.id, RepoId(source="huggingface", vendor="qwen", name="other"))


def test_an_unknown_number_is_refused(registry):
    with registry.begin() as tx:
        for ask in (
            lambda: tx.repos.get(99),
            lambda: tx.repos.forget(99),
            lambda: tx.repos.set_status(99, SyncStatus.INIT),
            lambda: tx.repos.set_spelling(99, QWEN),
        ):
            with pytest.raises(RepositoryNotFound, match="99"):
                ask()


def test_registering_is_logged_once_and_only_when_it_is_committed(registry, caplog):
    caplog.set_level(logging.INFO, "modelhub.registry")

    def fail_after_registering():
        with registry.begin() as tx:
            tx.repos.register(QWEN, source_uri="x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_registering()
    assert caplog.records == []
    register(registry)
    register(registry)
    (logged,) = caplog.records
    assert logged.message == "repo_registered"
    assert logged.model_repo_name == QWEN.id


def test_an_address_that_no_index_holds_is_refused(registry):
    with pytest.raises(InvalidInput, match="source_uri has 2,001 bytes") as caught:
        register(registry, source_uri="u" * 2001)
    assert caught.value.details["field"] == "source_uri"
    longest = "".join(map(chr, range(0x4E00, 0x4E00 + 666)))
    assert register(registry, source_uri=longest).source_uri == longest


@only_postgres
def test_what_is_too_large_for_the_database_is_not_called_unavailable(registry):
    name = "".join(map(chr, range(0x4E00, 0x4E00 + 5000)))
    with pytest.raises(RegistryError, match="cannot hold something this large") as caught:
        saved(registry, listing(revision=name))
    assert not isinstance(caught.value, DatabaseUnavailable)
    assert "too long for an index" in caught.value.hint
