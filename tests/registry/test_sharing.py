"""Who has the same bytes, on both databases; and what the second of two Wan repositories reuses."""

import pytest

from modelhub.facts import Device, FileKind, MemoryNeed, Model, RepoId, Report, RuntimeView
from modelhub.planner import Offer, Wish, make_plan
from modelhub.refs import Digest
from modelhub.registry.introspect import metadata_wanted
from modelhub.registry.sharing import LEAST
from tests.registry.introspect.test_wan import find_wan
from tests.registry.introspect.wan import WAN_DIFFUSERS, WAN_ORIGINAL
from tests.registry.samples import file, listing, register
from tests.registry.test_search_plans import explained, whole

TEXT_ENCODER, VAE, EVERYTHING = 22_723_671_744, 507_591_892, 28_928_887_859
TEXT_ENCODER_PICKLE, VAE_PICKLE, TOKENIZER = 11_361_920_418, 507_609_880, 4_548_313
BIG = 10 * LEAST


def beside(one, name, changed):
    """Another repository of the family: the same files, but for those that begin with `changed`."""
    commit = "9" * 40
    files = tuple(
        file.model_copy(update={"sha256": Digest.of(f"{name} {file.path}".encode())})
        if file.path.startswith(changed)
        else file
        for file in one.files
    )
    repo = one.repo.model_copy(update={"name": name})
    return one.model_copy(update={"repo": repo, "commit": commit, "files": files})


I2V = beside(
    WAN_DIFFUSERS, "Wan2.1-I2V-Diffusers", ("transformer/", "model_index", "scheduler", "vae/config")
)
T2V_14B = beside(WAN_ORIGINAL, "Wan2.1-T2V-14B", ("diffusion_pytorch", "config", "README", "LICENSE"))


def save(registry, one, models=()):
    record = register(registry, one.repo)
    with registry.begin() as tx:
        tx.revisions.save(record.id, one)
        tx.models.save(record.id, one.commit, models, (), ())
    return record


def shared(registry, record, commit):
    with registry.read() as tx:
        return tx.models.shared(record.id, tx.models.report(record.id, commit))


def test_two_pipelines_share_a_text_encoder_and_a_vae(registry):
    first = save(registry, WAN_DIFFUSERS, find_wan(WAN_DIFFUSERS).models)
    save(registry, I2V, find_wan(I2V).models)
    (found,) = shared(registry, first, WAN_DIFFUSERS.commit)
    assert found.repo == "Wan-AI/Wan2.1-I2V-Diffusers"
    assert found.components == ("text_encoder", "tokenizer", "vae")
    by_part = {
        name: sum(file.size for file in found.files if name in file.components)
        for name in found.components
    }
    assert (by_part["text_encoder"], by_part["vae"]) == (TEXT_ENCODER, VAE)
    assert found.bytes == TEXT_ENCODER + VAE + TOKENIZER + 16_837_459
    assert str(found) == (
        "text_encoder, tokenizer and vae (23.3 GB) are also in Wan-AI/Wan2.1-I2V-Diffusers"
    )


def test_the_original_layout_shares_pickles_and_the_tokenizer_with_everybody(registry):
    first = save(registry, WAN_ORIGINAL)
    save(registry, T2V_14B)
    save(registry, WAN_DIFFUSERS, find_wan(WAN_DIFFUSERS).models)
    most, least = shared(registry, first, WAN_ORIGINAL.commit)
    assert most.repo == "Wan-AI/Wan2.1-T2V-14B"
    sizes = {file.path: file.size for file in most.files}
    assert sizes["models_t5_umt5-xxl-enc-bf16.pth"] + sizes["Wan2.1_VAE.pth"] == 11_869_530_298
    assert TEXT_ENCODER_PICKLE + VAE_PICKLE == 11_869_530_298
    assert (least.repo, least.bytes) == ("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", TOKENIZER)
    assert least.files[0].other_path == "tokenizer/spiece.model"
    assert str(least) == "1 file (4.55 MB) is also in Wan-AI/Wan2.1-T2V-1.3B-Diffusers"


def repo(name):
    return RepoId(source="huggingface", vendor="v", name=name)


def test_what_is_small_forgotten_its_own_or_of_unknown_hash_is_not_told(registry):
    big = file("big.gguf", size=BIG, sha256=Digest.of(b"big"), kind=FileKind.MODEL)
    small = file("small.json", size=LEAST - 1, sha256=Digest.of(b"small"))
    unknown = file("unknown.gguf", size=BIG)
    files = (big, small, unknown)
    mine = save(registry, listing("1" * 40, repo=repo("mine"), files=files))
    save(registry, listing("2" * 40, repo=repo("mine"), files=files))
    gone = save(registry, listing("3" * 40, repo=repo("gone"), files=files))
    with registry.begin() as tx:
        tx.repos.forget(gone.id)
    assert shared(registry, mine, "1" * 40) == ()
    twice = (big, big.model_copy(update={"path": "again.gguf"}), small, unknown)
    save(registry, listing("4" * 40, repo=repo("other"), files=twice))
    (found,) = shared(registry, mine, "1" * 40)
    assert (found.repo, found.bytes, found.components) == ("v/other", BIG, ())
    assert found.files[0].other_path == "again.gguf"


def test_a_hash_that_was_learnt_from_the_bytes_counts_too(registry):
    mine = save(registry, listing("1" * 40, repo=repo("mine"), files=(file("a.gguf", size=BIG),)))
    theirs = save(registry, listing("2" * 40, repo=repo("other"), files=(file("b.gguf", size=BIG),)))
    for record, commit, path in ((mine, "1" * 40, "a.gguf"), (theirs, "2" * 40, "b.gguf")):
        with registry.begin() as tx:
            tx.revisions.set_digests(record.id, commit, {path: Digest.of(b"same")})
    assert [each.repo for each in shared(registry, mine, "1" * 40)] == ["v/other"]


def test_it_is_one_statement_that_reads_no_table_whole(registry):
    first = save(registry, WAN_DIFFUSERS, find_wan(WAN_DIFFUSERS).models)
    save(registry, I2V)
    with registry.read() as tx:
        report = tx.models.report(first.id, WAN_DIFFUSERS.commit)
    with explained(registry) as steps, registry.read() as tx:
        assert tx.models.shared(first.id, report)
    assert len(steps) == 1
    assert not whole(steps), steps
    if (
        registry.dialect == "sqlite"
    ):  # PostgreSQL goes by what it has counted, which here is next to nothing
        assert "ix_repo_file_hash_sha256" in str(steps)
        assert "ix_repo_file_lfs_sha256" in str(steps)


VIDEO = RuntimeView(name="video", tasks=("text-to-video",), formats=("safetensors",))
GPU = Device(name="cuda:0", kind="cuda", memory_total=80 * 10**9, memory_free=70 * 10**9)


def plan_of(one, models: tuple[Model, ...], stored):
    report = Report(repo=one.repo.id, source="huggingface", commit=one.commit, models=models)
    offers = [
        Offer(VIDEO, model, variant, GPU, ok=True, need=MemoryNeed.whole(variant.bytes))
        for model in models
        for variant in model.variants
    ]
    return make_plan(report, Wish(), offers, GPU, stored.__contains__, metadata_wanted(one.files))


def test_the_second_pipeline_reuses_the_first_ones_text_encoder_and_vae():
    weights = ("text_encoder/model-", "vae/diffusion", "transformer/diffusion")
    stored = frozenset(f.sha256 for f in I2V.files if f.path.startswith(weights))
    plan = plan_of(WAN_DIFFUSERS, find_wan(WAN_DIFFUSERS).models, stored)
    reused = {part.component: part.reuse_bytes for part in plan.parts if part.reuse_bytes}
    assert reused == {"text_encoder": TEXT_ENCODER, "vae": VAE}
    assert plan.reuse_bytes == TEXT_ENCODER + VAE == 23_231_263_636
    assert plan.reuse_bytes + plan.fetch_bytes == EVERYTHING
    assert plan.fetch_bytes == pytest.approx(5.7e9, rel=0.01)
    assert "fetch    5.7 GB, reuse 23.2 GB" in str(plan)
