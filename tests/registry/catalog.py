"""Many repositories at once, written past the registry's own methods, for questions at some size."""

from datetime import UTC, datetime
from itertools import islice, product

from sqlalchemy import insert, select

from modelhub.registry.listed import relist
from modelhub.registry.tables import (
    ComponentFileRow,
    ComponentRow,
    FactRow,
    ModelRow,
    RefRow,
    RepoFileRow,
    RepoRow,
    RevisionRow,
    VariantRow,
)

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
VENDORS = tuple(f"vendor-{number}" for number in range(40))
FAMILIES = ("Qwen3", "Llama-3.1", "gemma-2", "bge", "yolo")
TASKS = ("text-generation",) * 7 + ("feature-extraction",) * 2 + ("object-detection",)
FORMATS = ("gguf", "gguf", "safetensors", "onnx")
PRECISIONS = ("q4_k_m", "q8_0", "fp16", "bf16")
LICENSES = ("apache-2.0",) * 6 + ("mit",) * 3 + ("cc-by-nc-4.0",)


FIRST = 1001
"""Numbers below are for rows that the database counts itself."""


def fill(registry, count):
    """`count` repositories of one model each, with two variants; the last one has a rare name."""
    numbers = range(FIRST, FIRST + count)
    with registry.begin() as tx:
        tx.session.execute(insert(RepoRow), [_repo(n, rare=n == numbers[-1]) for n in numbers])
        tx.session.execute(insert(RevisionRow), [_revision(n) for n in numbers])
        tx.session.execute(insert(ModelRow), [_model(n) for n in numbers])
        tx.session.execute(insert(VariantRow), [_variant(n, p) for n, p in product(numbers, (0, 1))])
        tx.session.execute(insert(FactRow), [_license(n) for n in numbers])
        for number in numbers:
            relist(tx.session, number)


BATCH = 10_000


def fill_files(registry, numbers, each):
    """`each` files for every repository of `numbers`, which `fill` made, what `main` means, and of each
    variant the component `model` with two of the files.
    """
    with registry.begin() as tx:
        found = select(VariantRow.id, VariantRow.logical_model_id, VariantRow.position)
        variants = tx.session.execute(found.where(VariantRow.logical_model_id.in_(numbers))).all()
        tx.session.execute(insert(RefRow), [_ref(n) for n in numbers])
        files = (_file(n, place, each) for n, place in product(numbers, range(each)))
        while batch := list(islice(files, BATCH)):
            tx.session.execute(insert(RepoFileRow), batch)
        tx.session.execute(insert(ComponentRow), [_component(number, n) for number, n, _ in variants])
        places = [(v, n, shard, 2 * at + shard) for v, n, at in variants for shard in (0, 1)]
        tx.session.execute(insert(ComponentFileRow), [_shard(*place, each) for place in places])


def _ref(n):
    named = {"model_repo_id": n, "revision_id": n, "name": "main"}
    return {**named, "first_seen_at": MOMENT, "last_seen_at": MOMENT}


def _file(n, place, each):
    number = n * each + place
    return {
        "id": number,
        "model_repo_id": n,
        "revision_id": n,
        "position": place,
        "file_path": f"part-{place % 10}/model-{place:05}.safetensors",
        "size_bytes": number % 9_000 * 1_000_000,
        "lfs_sha256": f"{number * 2654435761 % 2**255:064x}",
        "git_oid": f"{number:040x}",
        "type": "model",
    }


def _component(variant, n):
    return {
        "id": variant,
        "model_variant_id": variant,
        "position": 0,
        "component_name": "model",
        "model_repo_name": f"vendor/model-{n}",
        "source": "",
        "commit_hash": f"{n:040x}",
        "folder": "",
    }


def _shard(variant, n, shard, place, each):
    file = _file(n, place, each)
    return {
        "component_id": variant,
        "position": shard,
        "file_path": file["file_path"],
        "size_bytes": file["size_bytes"],
        "hash_sha256": file["lfs_sha256"],
        "type": "model",
        "repo_file_id": file["id"],
    }


def _repo(n, *, rare):
    vendor, name = (
        VENDORS[n % len(VENDORS)],
        f"{FAMILIES[n % len(FAMILIES)]}-{n}B-{'rarity' if rare else 'model'}",
    )
    return {
        "id": n,
        "source": "huggingface",
        "vendor_key": vendor,
        "name_key": name.casefold(),
        "model_repo_name": f"{vendor}/{name}",
        "model_vendor": vendor,
        "model_name": name,
        "source_uri": "",
        "default_branch": "main",
        "git_head": f"{n:040x}",
    }


def _revision(n):
    named = {"id": n, "model_repo_id": n, "commit_hash": f"{n:040x}", "warnings": []}
    return {**named, "revision": "main", "default_branch": "main", "source_uri": "", **_FLAGS}


_FLAGS = {"gated": False, "private": False, "introspected_at": MOMENT}


def _model(n):
    task = TASKS[n % len(TASKS)]
    named = {"id": n, "revision_id": n, "position": 0, "model_name": f"model-{n}"}
    return {**named, "category": "llm", "task_type": task, "status": "ready"}


def _variant(n, position):
    return {
        "logical_model_id": n,
        "position": position,
        "variant_name": f"v{position}",
        "format": FORMATS[(n + position) % len(FORMATS)],
        "precision": PRECISIONS[(n // 3 + position) % len(PRECISIONS)],
        "size_bytes": (n * 7919) % 20_000 * 1_000_000,
        "status": "ready",
    }


def _license(n):
    said = {"subject": "repository", "key": "license", "value": LICENSES[n % len(LICENSES)]}
    return {"revision_id": n, "position": 0, "evidence": "card: license", "trust": 30, **said}
