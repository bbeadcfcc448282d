"""Searches are answered from indexes, with few statements, on a database of some size."""

import pytest
from sqlalchemy import text

from modelhub.registry import ModelQuery
from tests.registry.catalog import FIRST, fill
from tests.registry.explain import explained, whole

COUNT = 2000
QUERIES = {
    "everything": ({}, "ix_listed_model_page"),
    "task": ({"task": "object-detection"}, "ix_listed_model_task"),
    "subtask": ({"task": "object-detection", "subtask": "face-detection"}, "ix_listed_model_task"),
    "vendor": ({"vendor": "vendor-7"}, "ix_listed_model_page"),
    "licence": ({"license": "cc-by-nc-4.0"}, "ix_listed_model_license"),
    "format": ({"format": "onnx"}, "ix_model_variant_format"),
    "precision": ({"precision": "q8_0"}, "ix_model_variant_precision"),
    "size": ({"max_bytes": 1_000_000_000}, "ix_listed_model_page"),
    "sizes": ({"min_bytes": 1_000_000, "max_bytes": 9_000_000_000}, "sqlite_autoindex_model_variant_1"),
    "word": ({"text": "qwen"}, "ix_listed_word_word"),
    "rare word": ({"text": "rarity"}, "ix_listed_word_word"),
    "words": ({"text": "llama model 7"}, "ix_listed_word_word"),
    "all": (
        {
            "text": "qwen",
            "task": "text-generation",
            "vendor": "vendor-5",
            "license": "apache-2.0",
            "format": "gguf",
            "precision": "q8_0",
            "max_bytes": 9_000_000_000,
        },
        "ix_",
    ),
}


@pytest.fixture
def filled(registry):
    fill(registry, COUNT)
    if registry.dialect == "postgresql":
        with registry.begin() as tx:
            tx.session.execute(text("ANALYZE"))
    return registry


def test_each_filter_has_its_index_and_no_table_is_read_whole(filled):
    for name, (query, index) in QUERIES.items():
        with explained(filled) as steps, filled.read() as tx:
            first = tx.search.page(ModelQuery(**query), 20)
            if first.next:
                tx.search.page(ModelQuery(**query), 20, first.next)
        assert not whole(steps), (name, steps)
        if filled.dialect == "sqlite":
            # PostgreSQL counts what is common, and walks through that in the order of the pages.
            assert index in str(steps), (name, steps)


RARE = {
    "ix_model_variant_format": {"format": "coreml"},
    "ix_model_variant_precision": {"precision": "q2_k"},
    "ix_listed_word_word": {"text": "rarity"},
    "ix_listed_model_task": {"task": "text-ranking"},
    "ix_listed_model_license": {"license": "gemma"},
}


def test_what_is_rare_is_found_by_its_own_index(filled):
    for index, query in RARE.items():
        with explained(filled) as steps, filled.read() as tx:
            tx.search.page(ModelQuery(**query), 20)
        assert index in str(steps), steps
        assert not whole(steps)


def test_a_page_costs_three_statements_however_long_it_is(filled):
    for limit in (1, 500):
        with explained(filled) as steps, filled.read() as tx:
            assert len(tx.search.page(ModelQuery(text="model"), limit)) == limit
        assert len(steps) == 3


def test_filters_find_what_a_look_at_every_model_finds(filled):
    with filled.read() as tx:
        everything, after = [], None
        while True:
            page = tx.search.page(ModelQuery(), 999, after)
            everything += page
            if (after := page.next) is None:
                break
        assert len(everything) == COUNT
        onnx = tx.search.page(ModelQuery(task="object-detection", format="onnx"), 1000)
        rare = tx.search.page(ModelQuery(text="rarity"), 10)
    wanted = [e for e in everything if e.task == "object-detection" and "onnx" in e.formats]
    assert list(onnx) == wanted != []
    assert [entry.name for entry in rare] == [f"model-{FIRST + COUNT - 1}"]
