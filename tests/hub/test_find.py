"""`Hub.models`: what was synced is found by what it is, and bad filters are refused by name."""

import pytest

from modelhub.errors import HubClosed, InvalidInput
from modelhub.facts import ModelPage
from tests.hub.conftest import MODEL
from tests.zoo.repos import build_embed_gguf

EMBED = "zoo/tiny-embed-GGUF"


@pytest.fixture
def synced(hub, server, tmp_path):
    server.add(EMBED, build_embed_gguf(tmp_path / "embed"))
    hub.sync(MODEL)
    hub.sync(EMBED)
    server.reset_counts()
    return hub


def repos(page):
    return [entry.repo for entry in page]


def test_what_was_synced_is_found_and_nobody_is_asked(synced, server):
    page = synced.models()
    assert repos(page) == [MODEL, EMBED]
    assert len(page) == 2
    assert server.requests == []
    chat = page.models[0]
    report = synced.inspect(MODEL)
    (model,) = report.models
    assert (chat.commit, chat.name, chat.task) == (report.commit, model.name, model.task)
    assert chat.parameters == model.parameters
    assert chat.precisions == tuple(variant.precision for variant in model.variants)
    sizes = [variant.bytes for variant in model.variants]
    assert (chat.smallest_bytes, chat.largest_bytes) == (min(sizes), max(sizes))
    assert (chat.formats, chat.license) == (("gguf",), report.license)


def test_a_repository_that_was_only_registered_has_no_models_yet(hub):
    hub.register(MODEL)
    assert repos(hub.models()) == []
    hub.sync(MODEL)
    assert repos(hub.models()) == [MODEL]


@pytest.mark.parametrize(
    "given",
    [
        {"text": "tiny CHAT"},
        {"task": "chat"},
        {"task": "text-generation"},
        {"task": "Text_Generation"},
        {"vendor": "ZOO", "text": "chat"},
        {"precision": "Q4_K_M", "text": "chat"},
        {"format": "GGUF", "task": "llm"},
        {"license": "Apache-2.0", "task": "llm"},
        {"max_bytes": "1GB", "task": "llm"},
        {"min_bytes": 0, "max_bytes": 10**30, "task": "llm"},
    ],
)
def test_filters_are_written_as_people_write_them(synced, given):
    assert repos(synced.models(**given)) == [MODEL]


def test_no_model_is_also_a_page(synced):
    page = synced.models(min_bytes="1 TB")
    assert (page.models, page.next, str(page)) == ((), None, "no model found")


def test_page_by_page(synced):
    first = synced.models(limit=1)
    second = synced.models(limit=1, after=first.next)
    assert (repos(first), repos(second), second.next) == ([MODEL], [EMBED], None)
    assert f"more: after={first.next!r}" in str(first)


def test_a_page_prints_as_a_table_and_serialises(synced):
    page = synced.models()
    head, *lines = str(page).splitlines()
    assert head.split() == [
        "repository",
        "model",
        "task",
        "parameters",
        "size",
        "license",
        "formats",
        "precisions",
    ]
    assert [line.split()[0] for line in lines] == repos(page)
    assert "\n" not in repr(page)
    assert ModelPage.model_validate(page.model_dump()) == page
    assert ModelPage.model_validate_json(page.model_dump_json()) == page


BAD = [
    ({"task": "object-detektion"}, "task", "object-detection"),
    ({"task": " "}, "task", "Leave it out"),
    ({"task": 5}, "task", ""),
    ({"text": 5}, "text", ""),
    ({"text": "!!!"}, "text", "letters and digits"),
    ({"vendor": b"x"}, "vendor", ""),
    ({"format": ""}, "format", "Leave it out"),
    ({"license": ""}, "license", "Leave it out"),
    ({"precision": "q4_k_x"}, "precision", "q4_k"),
    ({"min_bytes": -1}, "min_bytes", "8_000_000_000"),
    ({"max_bytes": -1}, "max_bytes", "8_000_000_000"),
    ({"max_bytes": True}, "max_bytes", "8_000_000_000"),
    ({"max_bytes": 1.5}, "max_bytes", "8_000_000_000"),
    ({"max_bytes": "-8GB"}, "max_bytes", "8GB"),
    ({"max_bytes": "much"}, "max_bytes", "8GB"),
    ({"min_bytes": "2GB", "max_bytes": "1GB"}, "min_bytes", ""),
    ({"limit": 0}, "limit", "next"),
    ({"limit": 1001}, "limit", "next"),
    ({"limit": "9"}, "limit", "next"),
    ({"after": "nonsense"}, "after", "`next`"),
    ({"after": 5}, "after", ""),
]


@pytest.mark.parametrize(("given", "field", "hint"), BAD)
def test_bad_input_is_refused_by_name(synced, given, field, hint):
    with pytest.raises(InvalidInput) as caught:
        synced.models(**given)
    assert caught.value.details["field"] == field
    assert hint in caught.value.hint


def test_a_task_that_only_some_repository_serves_is_a_task(synced):
    from sqlalchemy import text

    with synced._registry.begin() as tx:
        tx.session.execute(text("UPDATE listed_model SET task_type = 'fill-mask'"))
    assert len(synced.models(task="fill-mask")) == 2
    with pytest.raises(InvalidInput) as caught:
        synced.models(task="fill-masks")
    assert "Such as fill-mask," in caught.value.hint


def test_the_same_on_either_database(make_hub, database_url):
    hub = make_hub(database=database_url)
    hub.sync(MODEL)
    assert repos(hub.models("tiny", task="chat", format="gguf", max_bytes="1GB")) == [MODEL]
    hub.close()
    with pytest.raises(HubClosed):
        hub.models()
