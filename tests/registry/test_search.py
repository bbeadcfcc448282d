"""Finding models by what they are: filters, their order, pages."""

import pytest

from modelhub.errors import InvalidInput
from modelhub.facts import Component, Evidence, Model, ModelEntry, RepoId, Variant
from modelhub.registry import ModelQuery
from tests.registry.samples import COMMIT, OTHER, file, listing, model, new_commit, register, saved

GB = 1_000_000_000


def variant(name, kind="gguf", size=GB):
    part = Component(name="model", repo="a/b", commit=None, files=(file("w", size=size),))
    return Variant(name=name, format=kind, precision=name, components=(part,))


def found(name, *variants, task="text-generation", **given):
    return Model(name=name, task=task, category="llm", variants=variants, **given)


def stated(value, trust=30, subject="repository"):
    return Evidence(subject=subject, key="license", value=value, evidence="somewhere", trust=trust)


def add(registry, name, *models, license_id=None, source="huggingface", evidence=()):
    vendor, _, plain = name.rpartition("/")
    commit = new_commit()
    one = listing(commit, repo=RepoId(source=source, vendor=vendor, name=plain))
    record = saved(registry, one)
    facts = (*((stated(license_id),) if license_id else ()), *evidence)
    with registry.begin() as tx:
        tx.models.save(record.id, commit, models, facts, ())
    return record, commit


@pytest.fixture
def some(registry):
    add(
        registry,
        "Qwen/Qwen3-0.6B-GGUF",
        found("qwen3-0.6b", variant("q8_0", size=GB), variant("q4_0", size=GB // 2), parameters=6),
        license_id="apache-2.0",
    )
    add(
        registry,
        "Qwen/Qwen3-Embedding",
        found("embedder", variant("fp16", "safetensors", 2 * GB), task="feature-extraction"),
        license_id="Apache-2.0",
    )
    add(
        registry,
        "onnx-community/yolo10",
        found("yolo10n", variant("fp32", "onnx", GB // 100), task="object-detection"),
        found("faces", variant("int8", "onnx", 9), task="object-detection", subtask="face-detection"),
        license_id="agpl-3.0",
    )
    add(
        registry,
        "gpt2",
        found("gpt2", variant("fp32", "safetensors", GB), variant("q4_0", "gguf", 9 * GB)),
    )
    return registry


def page(registry, limit=100, after=None, **query):
    with registry.read() as tx:
        return tx.search.page(ModelQuery(**query), limit, after)


def names(registry, **query):
    return [entry.name for entry in page(registry, **query)]


def test_a_line_says_what_the_model_is(some):
    entry = page(some, text="gguf").models[0]
    assert entry == ModelEntry(
        repo="Qwen/Qwen3-0.6B-GGUF",
        source="huggingface",
        commit=entry.commit,
        name="qwen3-0.6b",
        task="text-generation",
        formats=("gguf",),
        precisions=("q8_0", "q4_0"),
        parameters=6,
        license="apache-2.0",
        smallest_bytes=GB // 2,
        largest_bytes=GB,
    )


EVERY = ["gpt2", "faces", "yolo10n", "qwen3-0.6b", "embedder"]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, ["gpt2", "faces", "yolo10n", "qwen3-0.6b", "embedder"]),
        ({"task": "object-detection"}, ["faces", "yolo10n"]),
        ({"task": "object-detection", "subtask": "face-detection"}, ["faces"]),
        ({"task": "text-ranking"}, []),
        ({"vendor": "QWEN"}, ["qwen3-0.6b", "embedder"]),
        ({"vendor": ""}, ["gpt2"]),
        ({"vendor": "qwe"}, []),
        ({"format": "gguf"}, ["gpt2", "qwen3-0.6b"]),
        ({"precision": "q4_0"}, ["gpt2", "qwen3-0.6b"]),
        ({"precision": "fp32"}, ["gpt2", "yolo10n"]),
        ({"license": "apache-2.0"}, ["qwen3-0.6b", "embedder"]),
        ({"license": "Apache 2.0"}, ["qwen3-0.6b", "embedder"]),
        ({"license": "apache"}, []),
        ({"max_bytes": GB // 2}, ["faces", "yolo10n", "qwen3-0.6b"]),
        ({"max_bytes": 0}, []),
        ({"min_bytes": 2 * GB}, ["gpt2", "embedder"]),
        ({"min_bytes": 2 * GB, "max_bytes": 8 * GB}, ["embedder"]),
        ({"format": "gguf", "max_bytes": GB}, ["qwen3-0.6b"]),
        ({"format": "safetensors", "precision": "q4_0"}, []),
        ({"format": "gguf", "precision": "q4_0", "min_bytes": GB}, ["gpt2"]),
        ({"text": "qwen"}, ["qwen3-0.6b", "embedder"]),
        ({"text": "QWEN3 0.6b"}, ["qwen3-0.6b"]),
        ({"text": "embed qwen/qwen3"}, ["embedder"]),
        ({"text": "wen3"}, []),
        ({"text": "community"}, ["faces", "yolo10n"]),
        ({"text": "yolo10n"}, ["yolo10n"]),
        ({"text": " "}, ["gpt2", "faces", "yolo10n", "qwen3-0.6b", "embedder"]),
        ({"text": "qwen", "task": "feature-extraction", "license": "apache-2.0"}, ["embedder"]),
        ({"vendor": "onnx-community", "format": "onnx", "max_bytes": 9}, ["faces"]),
        ({"vendor": "Qwen", "format": "onnx"}, []),
    ],
)
def test_filters_and_their_order(some, query, wanted):
    assert sorted(names(some, **query)) == sorted(wanted)
    assert names(some, **query) == [name for name in ORDER if name in wanted]


ORDER = ["gpt2", "faces", "yolo10n", "qwen3-0.6b", "embedder"]
"""By vendor (none first, then in small letters), repository and name."""


def test_every_page_once_in_order(some):
    seen, after = [], None
    for size in (1, 2, 1, 1):
        part = page(some, size, after)
        assert len(part) == size
        seen += [entry.name for entry in part]
        after = part.next
    assert after is None
    assert seen == names(some) == page_order(some)


def page_order(registry):
    return [entry.name for entry in sorted(page(registry), key=lambda e: (key(e.repo), e.name))]


def key(repo):
    vendor, _, name = repo.lower().rpartition("/")
    return vendor, name


def test_a_page_that_is_just_full_has_no_next(some):
    assert page(some, 5).next is None
    assert page(some, 4).next is not None
    assert page(some, 4, task="object-detection").next is None


def test_rows_that_come_and_go_between_pages_leave_no_gap_and_no_double(some):
    first = page(some, 2)
    add(some, "aaa/before", found("new-before", variant("q8_0")))
    add(some, "zzz/behind", found("new-behind", variant("q8_0")))
    record, _ = add(some, "Qwen/Qwen3-0.6B-GGUF", found("qwen3-0.6b", variant("q8_0")), found("more"))
    second = page(some, 3, first.next)
    assert [entry.name for entry in second] == ["yolo10n", "more", "qwen3-0.6b"]
    with some.begin() as tx:
        tx.repos.forget(record.id)
    assert [entry.name for entry in page(some, 5, second.next)] == ["embedder", "new-behind"]


def test_models_of_one_name_are_all_found(registry):
    same = tuple(found("same", variant("q8_0"), context_length=n) for n in range(5))
    add(registry, "a/b", *same)
    add(registry, "a/b", *same, source="modelscope")
    seen, after = 0, None
    while (part := page(registry, 1, after)).next:
        seen, after = seen + len(part), part.next
    assert seen + len(part) == 10


def test_only_what_the_default_branch_means_now(registry):
    record = saved(registry, listing())
    other = listing(OTHER, revision="feature")
    with registry.begin() as tx:
        tx.models.save(record.id, COMMIT, (model(name="old"),), (), ())
        tx.revisions.save(record.id, other)
        tx.models.save(record.id, OTHER, (model(name="branch"),), (), ())
    assert names(registry) == ["old"]
    with registry.begin() as tx:
        tx.revisions.save(record.id, listing(OTHER))
    assert names(registry) == ["branch"]
    assert [entry.commit for entry in page(registry)] == [OTHER]
    with registry.begin() as tx:
        tx.revisions.save(record.id, listing("c" * 40))
    assert names(registry) == []
    with registry.begin() as tx:
        tx.revisions.save(record.id, listing())
    assert names(registry) == ["old"]


def test_what_was_forgotten_is_not_found_until_it_is_back(registry):
    record, commit = add(registry, "a/b", found("x", variant("q8_0")))
    with registry.begin() as tx:
        tx.repos.forget(record.id)
        tx.models.save(record.id, commit, (found("y"),), (), ())
    assert names(registry) == names(registry, text="y") == []
    register(registry, record.repo)
    assert names(registry) == names(registry, text="y") == ["y"]


def test_what_is_found_anew_replaces_what_was(registry):
    record, commit = add(registry, "a/b", found("x", variant("q8_0")), license_id="mit")
    with registry.begin() as tx:
        tx.models.save(record.id, commit, (found("x", variant("q4_0", size=5)),), (), ())
    (entry,) = page(registry, precision="q4_0", max_bytes=5)
    assert (entry.precisions, entry.largest_bytes, entry.license) == (("q4_0",), 5, None)
    assert names(registry, precision="q8_0") == names(registry, license="mit") == []


def test_a_model_without_variants_has_no_size(registry):
    add(registry, "a/b", found("bare"))
    (entry,) = page(registry)
    assert (entry.formats, entry.smallest_bytes) == ((), None)
    assert names(registry, max_bytes=GB) == names(registry, min_bytes=0) == []


@pytest.mark.parametrize(
    ("evidence", "wanted"),
    [
        ((), None),
        ((stated("MIT"),), "mit"),
        ((stated("mit"), stated("apache-2.0", 100)), "apache-2.0"),
        ((stated("mit"), stated("gemma")), "mit"),
        ((stated("other", 100), stated("llama3.1")), "llama3.1"),
        ((stated("other"),), "other"),
        ((stated(""), stated(None), stated("mit", 1)), "mit"),
        ((stated("mit"), stated("agpl-3.0", 100, "model:another")), "mit"),
        ((stated("mit"), stated("agpl-3.0", 100, "model:x")), "agpl-3.0"),
        ((stated("mit, apache-2.0"),), "apache-2.0, mit"),
        ((stated(["mit"]),), "other"),
        ((stated("GPL-3.0-or-later"),), "gpl-3.0"),
        ((stated("x" * 3000),), "other"),
    ],
)
def test_the_licence_is_the_one_that_is_trusted_most(registry, evidence, wanted):
    add(registry, "a/b", found("x", variant("q8_0")), evidence=evidence)
    assert [entry.license for entry in page(registry)] == [wanted]
    if wanted is not None:
        assert names(registry, license=wanted) == ["x"]


def test_names_of_any_length_and_in_any_script(registry):
    add(registry, "a/" + "long-" * 30, found("Straße\x00漢字 " + "é" * 3000))
    add(registry, "_/___", found("\ud800"))
    assert len(page(registry, text="STRASSE")) == 1
    assert len(page(registry, text="漢字")) == 1
    assert len(page(registry, text="é" * 3000)) == 1
    assert len(page(registry, 1, page(registry, 1).next)) == 1


DAMAGED = ["", "m", "x", "mm", "nonsense", "m" * 100_000, "mé", "m\ud800", "m====", "mAAAAAG51bGw"]


@pytest.mark.parametrize("after", DAMAGED)
def test_an_after_that_is_no_pages_is_refused(some, after):
    with pytest.raises(InvalidInput, match="after") as caught:
        page(some, 1, after)
    assert caught.value.details["field"] == "after"


def test_an_after_with_any_character_changed_is_refused(some):
    after = page(some, 1).next
    for at, letter in enumerate(after[:-1]):
        other = "A" if letter != "A" else "B"
        for damaged in (after[:at] + other + after[at + 1 :], after[:at] + after[at + 1 :]):
            with pytest.raises(InvalidInput):
                page(some, 1, damaged)


def test_an_after_with_a_right_checksum_and_wrong_content_is_refused(some):
    import base64
    import zlib

    deep, wide = b"[" * 30_000, f'["a", "b", {1 << 63}, "c", 0]'.encode()
    for content in (b"[]", b"{}", b"1", b"\xff", b'["a", "b", "1", "c", 0]', wide, deep):
        packed = zlib.crc32(content).to_bytes(4, "big") + content
        with pytest.raises(InvalidInput):
            page(some, 1, "m" + base64.urlsafe_b64encode(packed).decode().rstrip("="))


@pytest.mark.parametrize("text", ["---", "/", "…", "_"])
def test_a_text_without_a_word_is_refused(some, text):
    with pytest.raises(InvalidInput, match="no word") as caught:
        page(some, text=text)
    assert caught.value.details["field"] == "text"


def test_saving_the_same_again_writes_no_list(registry):
    from sqlalchemy import event

    record, commit = add(registry, "a/b", found("x", variant("q8_0")), license_id="mit")
    said = []
    engine = registry._writer
    listen = lambda *given: said.append(given[2])  # noqa: E731
    event.listen(engine, "before_cursor_execute", listen)
    with registry.begin() as tx:
        tx.models.save(record.id, commit, (found("x", variant("q8_0")),), (stated("mit"),), ())
    event.remove(engine, "before_cursor_execute", listen)
    assert not [text for text in said if "listed_" in text and not text.startswith("SELECT")]
