"""Repositories that build on others: adapters, and pipelines with parts elsewhere. Through a real Hub."""

import json
import socket
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modelhub.cli.app import app
from modelhub.errors import (
    Cancelled,
    GatedRepository,
    InvalidInput,
    LicenseRefused,
    ModelHubError,
    RepositoryNotFound,
    RuntimeNotFound,
)
from modelhub.facts import JobKind, JobStatus
from modelhub.jobs import References, references
from modelhub.refs import Digest
from modelhub.store.layout import blob_path
from tests.formats.build import safetensors
from tests.registry.introspect.adapters import CONFIG, lora_bytes
from tests.registry.introspect.repos import LLAMA
from tests.registry.introspect.test_diffusers_elsewhere import spec
from tests.zoo.hub_server import Fault

BASE, ADAPTER, MIDDLE = "zoo/base", "zoo/adapter", "zoo/middle"


def weights(dtype="BF16", count=500_000):
    size = count * {"BF16": 2, "F16": 2, "F32": 4}[dtype]
    entry = {"w": {"dtype": dtype, "shape": [count], "data_offsets": [0, size]}}
    return safetensors(json.dumps(entry).encode(), size)


def card(name="apache-2.0"):
    return f"---\nlicense: {name}\n---\n".encode()


def base_files(**more):
    return {
        "README.md": card(),
        "config.json": json.dumps(LLAMA).encode(),
        "model.safetensors": weights(),
        "model.fp32.safetensors": weights("F32"),
        "tokenizer.json": b"{}",
        "tokenizer_config.json": b'{"chat_template": "{{ messages }}"}',
    } | more


def adapter_files(base=BASE, **more):
    config = CONFIG | {"base_model_name_or_path": base}
    return {
        "README.md": card("mit"),
        "adapter_config.json": json.dumps(config).encode(),
        "adapter_model.safetensors": lora_bytes(),
    } | more


@pytest.fixture
def serve(server, tmp_path):
    """Serves a repository with these files; again with others, its next commit."""

    def add(name, files, **how):
        number = len(list(tmp_path.glob("repo-*")))
        folder = tmp_path / f"repo-{number}"
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        if name.lower() in server._state.repos:
            return server.push(name, folder)
        return server.add(name, folder, **how)

    return add


def parts(variant):
    """Its components with their repositories and the number of their files."""
    return {part.name: (part.repo, len(part.files)) for part in variant.components}


def only(report):
    (model,) = report.models
    return model


def codes(report):
    return [warning.code for warning in report.warnings]


def base_codes(report):
    return [code for code in codes(report) if code.startswith("base.")]


BOUND = {"adapter": (ADAPTER, 2), "model": (BASE, 2), "tokenizer": (BASE, 2)}


def test_an_adapter_has_the_variants_of_its_base(hub, server, serve):
    base, own = serve(BASE, base_files()), serve(ADAPTER, adapter_files())
    report = hub.sync(ADAPTER)
    model = only(report)
    assert [(each.name, each.precision, each.format) for each in model.variants] == [
        ("fp32", "fp32", "peft"),
        ("bf16", "bf16", "peft"),
    ]
    assert [parts(each) for each in model.variants] == [BOUND, BOUND]
    commits = {part.name: part.commit for part in model.variants[0].components}
    assert commits == {"adapter": own, "model": base, "tokenizer": base}
    assert (model.architecture, model.context_length, model.parameters) == ("llama", 2048, 500_256)
    assert model.details["base"] == {"repo": BASE}
    assert codes(report) == []
    assert {(repo.repo.id, repo.git_head) for repo in hub.repos()} == {(BASE, base), (ADAPTER, own)}
    assert [job.kind for job in hub.jobs.list()] == [JobKind.REPO_SYNC] * 2
    assert server.bytes_sent("/model.safetensors") <= 128 * 1024


def test_a_base_that_is_known_is_not_asked_for(hub, server, serve):
    serve(BASE, base_files())
    serve(ADAPTER, adapter_files())
    hub.sync(BASE)
    server.reset_counts()
    hub.sync(ADAPTER)
    assert {request.path.split("?")[0] for request in server.requests if BASE in request.path} == set()
    server.reset_counts()
    before = hub.inspect(ADAPTER)
    assert hub.sync(ADAPTER) == before
    assert len(server.requests) == 1


def test_who_looked_before_the_base_was_read_sees_it_afterwards(hub, make_hub, serve, monkeypatch):
    serve(BASE, base_files())
    serve(ADAPTER, adapter_files())
    reader, settle, seen = make_hub(), References.settle, []

    def look_first(self, *args):
        seen.append(base_codes(reader.inspect(ADAPTER)))
        settle(self, *args)

    monkeypatch.setattr(References, "settle", look_first)
    report = hub.sync(ADAPTER)
    assert seen == [["base.unread"]]
    assert base_codes(report) == []
    assert reader.inspect(ADAPTER) == report


def test_plan_and_pull_take_each_file_from_its_repository(hub, server, serve):
    serve(BASE, base_files())
    serve(ADAPTER, adapter_files())
    hub.pull(f"{BASE}:bf16")
    plan = hub.plan(f"{ADAPTER}:bf16")
    assert (plan.runtime, plan.variant) == (None, "bf16")
    homes = {file.path: (file.repo, file.present) for file in plan.files}
    assert homes == {
        "README.md": (ADAPTER, True),
        "adapter_config.json": (ADAPTER, True),
        "adapter_model.safetensors": (ADAPTER, False),
        "config.json": (BASE, True),
        "model.safetensors": (BASE, True),
        "tokenizer.json": (BASE, True),
        "tokenizer_config.json": (BASE, True),
    }
    assert plan.fetch_bytes == len(lora_bytes())
    assert plan.reuse_bytes > len(weights())
    server.reset_counts()
    pulled = hub.pull(f"{ADAPTER}:bf16")
    assert (pulled.fetched_bytes, pulled.reused_bytes) == (plan.fetch_bytes, plan.reuse_bytes)
    assert server.bytes_sent("/model.safetensors") == 0
    (base,) = pulled.others
    assert (pulled.repo, base.repo) == (ADAPTER, BASE)
    assert (pulled.path / "adapter_model.safetensors").read_bytes() == lora_bytes()
    assert (base.path / "model.safetensors").read_bytes() == weights()
    assert not (pulled.path / "model.safetensors").exists()
    assert hub.plan(f"{ADAPTER}:bf16").fetch_bytes == 0


def test_pulling_fetches_what_is_missing_of_both(hub, server, serve):
    serve(BASE, base_files())
    serve(ADAPTER, adapter_files())
    plan = hub.plan(f"{ADAPTER}:fp32")
    pulled = hub.pull(f"{ADAPTER}:fp32")
    assert pulled.fetched_bytes == plan.fetch_bytes > len(weights("F32"))
    assert (pulled.others[0].path / "model.fp32.safetensors").read_bytes() == weights("F32")
    assert hub.plan(f"{BASE}:fp32").fetch_bytes == 0
    assert hub.verify(f"{ADAPTER}:fp32").ok


def test_no_runtime_takes_the_base_for_the_adapter(hub, serve):
    serve(BASE, base_files())
    serve(ADAPTER, adapter_files())
    plan = hub.plan(ADAPTER, task="chat")
    assert plan.runtime is None
    assert plan.why
    with pytest.raises(RuntimeNotFound):
        hub.chat(ADAPTER, "hello")


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("missing", "base.missing"),
        ("gated", "base.gated"),
        ("down", "base.unreachable"),
        ("damaged", "base.damaged"),
        ("revision", "base.missing"),
    ],
)
def test_without_its_base_it_registers_with_its_own_files_and_a_later_sync_repairs_it(
    hub, make_hub, server, serve, how, code
):
    files = adapter_files()
    if how == "gated":
        serve(BASE, base_files(), gated=True, token="right")
    elif how == "down":
        serve(BASE, base_files())
        server.faults[f"/api/models/{BASE}"] = Fault(status=501)
    elif how == "damaged":
        broken = dict.fromkeys(("model.safetensors", "model.fp32.safetensors"), b"no header")
        serve(BASE, base_files(**broken))
    elif how == "revision":
        serve(BASE, base_files())
        config = json.dumps(CONFIG | {"base_model_name_or_path": BASE, "revision": "v9"})
        files["adapter_config.json"] = config.encode()
    serve(ADAPTER, files)
    report = hub.sync(ADAPTER)
    (variant,) = only(report).variants
    assert parts(variant) == {"adapter": (ADAPTER, 2), "base": (BASE, 0)}
    assert base_codes(report) == [code]
    assert hub.inspect(ADAPTER) == report
    pulled = hub.pull(ADAPTER)
    assert {file.path for file in pulled.files} >= {"adapter_model.safetensors"}
    assert pulled.others == ()
    if how == "gated":
        hub.close()
        hub = make_hub(hf_token="right")
    elif how == "down":
        server.faults.clear()
    elif how == "revision":
        server._state.repos[BASE].record("refs/heads/v9", server._state.repos[BASE].history("main")[0])
    else:
        serve(BASE, base_files(**{"extra.txt": b"mended"}))
    mended = hub.sync(ADAPTER)
    assert [parts(each) for each in only(mended).variants] == [BOUND, BOUND]
    assert base_codes(mended) == []


@pytest.mark.parametrize("first", [ADAPTER, MIDDLE])
def test_two_that_build_on_each_other_are_told_the_same_whichever_comes_first(hub, serve, first):
    serve(ADAPTER, adapter_files(MIDDLE))
    serve(MIDDLE, adapter_files(ADAPTER))
    hub.sync(first)
    for name, other in ((ADAPTER, MIDDLE), (MIDDLE, ADAPTER)):
        report = hub.sync(name)
        assert base_codes(report) == ["base.cycle"]
        assert parts(only(report).variants[0]) == {"adapter": (name, 2), "base": (other, 0)}


def test_one_that_builds_on_itself_is_a_cycle(hub, server, serve):
    serve(ADAPTER, adapter_files(ADAPTER))
    report = hub.sync(ADAPTER)
    assert base_codes(report) == ["base.cycle"]
    assert hub.plan(ADAPTER).fetch_bytes == len(lora_bytes())


def test_one_beside_a_cycle_is_bound_to_what_there_is(hub, serve):
    serve("zoo/top", adapter_files(ADAPTER))
    serve(ADAPTER, adapter_files(MIDDLE))
    serve(MIDDLE, adapter_files(ADAPTER))
    report = hub.sync("zoo/top")
    (variant,) = only(report).variants
    assert parts(variant) == {
        "adapter": ("zoo/top", 2),
        "adapter-2": (ADAPTER, 2),
        "base": (MIDDLE, 0),
    }
    assert base_codes(report) == ["base.cycle"]


def test_an_adapter_of_an_adapter_has_the_files_of_all_three(hub, serve):
    serve(BASE, base_files())
    serve(MIDDLE, adapter_files())
    serve(ADAPTER, adapter_files(MIDDLE))
    report = hub.sync(ADAPTER)
    assert [parts(each) for each in only(report).variants] == [
        {"adapter": (ADAPTER, 2), "adapter-2": (MIDDLE, 2), "model": (BASE, 2), "tokenizer": (BASE, 2)}
    ] * 2
    pulled = hub.pull(f"{ADAPTER}:bf16")
    assert [each.repo for each in pulled.others] == [MIDDLE, BASE]


def test_one_sync_asks_for_so_many_and_the_next_for_the_rest(hub, server, serve, monkeypatch):
    monkeypatch.setattr(references, "MAX_SYNCS", 2)
    names = [f"zoo/base-{number}" for number in range(3)]
    files = {}
    for number, name in enumerate(names):
        serve(name, base_files())
        files |= {f"{number}/{path}": data for path, data in adapter_files(name).items()}
    serve(ADAPTER, files)
    assert base_codes(hub.sync(ADAPTER)) == ["base.unread"]
    assert {repo.repo.id for repo in hub.repos()} == {ADAPTER, *names[:2]}
    assert base_codes(hub.sync(ADAPTER)) == []


def test_a_chain_that_is_too_long_ends_and_the_next_sync_finds_the_same(hub, serve):
    for number in range(8):
        serve(f"zoo/chain-{number}", adapter_files(f"zoo/chain-{number + 1}"))
    report = hub.sync("zoo/chain-0")
    assert base_codes(report) == ["base.deep"]
    assert {repo.repo.id for repo in hub.repos()} == {f"zoo/chain-{number}" for number in range(5)}
    assert parts(only(report).variants[0]) == {"adapter": ("zoo/chain-0", 2), "base": ("zoo/chain-1", 0)}
    for number in range(7, -1, -1):
        hub.sync(f"zoo/chain-{number}")
    assert hub.inspect("zoo/chain-0") == report
    assert base_codes(hub.inspect("zoo/chain-4")) == ["base.missing"]
    assert len(only(hub.inspect("zoo/chain-4")).variants[0].components) == 5


def test_four_one_on_another_are_not_too_many(hub, serve):
    for number in range(4):
        serve(f"zoo/chain-{number}", adapter_files(f"zoo/chain-{number + 1}"))
    serve("zoo/chain-4", base_files())
    report = hub.sync("zoo/chain-0")
    assert base_codes(report) == []
    assert [part.repo for part in only(report).variants[0].components] == [
        *(f"zoo/chain-{number}" for number in range(5)),
        "zoo/chain-4",
    ]


def test_two_adapters_that_are_read_at_once_ask_for_their_base_once(hub, server, serve):
    serve(BASE, base_files())
    for name in ("zoo/one", "zoo/two"):
        serve(name, adapter_files())
    server.faults[f"/api/models/{BASE}"] = Fault(delay=1.0)
    found = {}
    threads = [
        threading.Thread(target=lambda name=name: found.update({name: hub.sync(name)}))
        for name in ("zoo/one", "zoo/two")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [len(only(report).variants) for report in found.values()] == [2, 2]
    assert sum(f"/api/models/{BASE}" == each.path.split("?")[0] for each in server.requests) == 1


def test_the_reading_of_a_base_can_be_cancelled_and_done_later(hub, server, serve):
    serve(BASE, base_files())
    serve(ADAPTER, adapter_files())
    server.faults["model.safetensors"] = Fault(delay=1.0)
    outcome = []

    def sync():
        try:
            hub.sync(ADAPTER)
        except ModelHubError as error:
            outcome.append(type(error))

    thread = threading.Thread(target=sync)
    thread.start()
    jobs = ()
    while not jobs:
        time.sleep(0.02)
        jobs = [job for job in hub.jobs.list(status=JobStatus.RUNNING) if job.key.endswith(BASE)]
    hub.jobs.cancel(jobs[0].id)
    thread.join(60)
    assert outcome == [Cancelled]
    report = hub.inspect(ADAPTER)
    assert base_codes(report) == ["base.unread"]
    assert parts(only(report).variants[0]) == {"adapter": (ADAPTER, 2), "base": (BASE, 0)}
    server.faults.clear()
    assert base_codes(hub.sync(ADAPTER)) == []


def test_a_folder_with_an_unknown_base_offline(make_hub, server, serve, tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    for path, data in adapter_files().items():
        (folder / path).write_bytes(data)
    serve(BASE, base_files())
    offline = make_hub(offline=True)
    with monkeypatch.context() as patch:

        def refuse(*_, **__):
            raise AssertionError("a socket was opened")

        patch.setattr(socket, "socket", refuse)
        report = offline.inspect(folder)
    assert base_codes(report) == ["base.unreachable"]
    online = make_hub()
    report = online.sync(folder)
    assert base_codes(report) == []
    assert parts(only(report).variants[0])["model"] == (BASE, 2)
    assert only(report).variants[0].components[1].source == "huggingface"
    pulled = online.pull(folder, variant="bf16")
    assert (pulled.others[0].path / "model.safetensors").read_bytes() == weights()


def test_the_base_may_move_and_the_adapter_stays_until_it_is_synced(hub, server, serve):
    before = serve(BASE, base_files())
    serve(ADAPTER, adapter_files())
    hub.sync(ADAPTER)
    after = serve(BASE, base_files(**{"model.safetensors": weights("F16")}))
    hub.sync(BASE)
    assert {part.commit for part in only(hub.inspect(ADAPTER)).variants[0].components} >= {before}
    moved = only(hub.sync(ADAPTER))
    assert after in {part.commit for part in moved.variants[0].components}
    assert [each.name for each in moved.variants] == ["fp32", "fp16"]


def test_the_licence_and_the_gate_of_the_base_count(make_hub, server, serve):
    serve(BASE, base_files(**{"README.md": card("cc-by-nc-4.0")}), gated=True, token="right")
    serve(ADAPTER, adapter_files())
    hub = make_hub(hf_token="right", license_policy="refuse:license.noncommercial")
    report = hub.sync(ADAPTER)
    assert sorted(codes(report)) == ["gated", "license.noncommercial"]
    assert all(warning.text.startswith(f"{BASE}: ") for warning in report.warnings)
    assert report.license == "mit"
    assert next(iter(hub.models(vendor="zoo", text="adapter"))).license == "mit"
    plan = hub.plan(ADAPTER)
    assert "license.refused" in [warning.code for warning in plan.warnings]
    server.reset_counts()
    with pytest.raises(LicenseRefused, match=r"cc-by-nc-4\.0") as caught:
        hub.pull(ADAPTER)
    assert BASE in str(caught.value)
    assert server.requests == []


def test_two_licences_of_two_works_are_no_conflict_and_an_unstated_one_is_unknown(make_hub, serve):
    serve(BASE, base_files(**{"README.md": card("gpl-3.0")}))
    serve(ADAPTER, adapter_files())
    serve("zoo/silent", base_files(**{"README.md": b"no card", "config.json": b"{}"}))
    policy = "refuse:license.conflict,license.unknown"
    hub = make_hub(license_policy=policy)
    assert "license.conflict" not in codes(hub.sync(ADAPTER))
    assert hub.pull(f"{ADAPTER}:bf16").others
    serve("zoo/on-silent", adapter_files("zoo/quiet"))
    serve("zoo/quiet", base_files(**{"README.md": b"no card"}))
    with pytest.raises(LicenseRefused, match=r"license\.unknown.*zoo/quiet"):
        hub.pull("zoo/on-silent:bf16")


def test_access_that_is_lost_stops_the_pull(make_hub, server, serve):
    serve(BASE, base_files(), gated=True, token="right")
    serve(ADAPTER, adapter_files())
    with make_hub(hf_token="right") as hub:
        hub.sync(ADAPTER)
    with pytest.raises(GatedRepository):
        make_hub().pull(f"{ADAPTER}:bf16")


MODULAR = {
    "README.md": card(),
    "modular_model_index.json": json.dumps(
        {
            "_class_name": "FluxModularPipeline",
            "transformer": spec("FluxTransformer2DModel", "transformer", "zoo/pipe"),
            "vae": spec("AutoencoderKL", "vae", "zoo/parts"),
            "tokenizer": spec("CLIPTokenizer", "tokenizer", "zoo/parts", "transformers"),
        }
    ).encode(),
    "transformer/config.json": b"{}",
    "transformer/diffusion_pytorch_model.safetensors": weights("BF16", 1000),
}
PARTS = {
    "README.md": card("cc-by-nc-4.0"),
    "vae/config.json": b'{"_class_name": "AutoencoderKL"}',
    "vae/diffusion_pytorch_model.safetensors": weights("F32", 2000),
    "vae/diffusion_pytorch_model.fp16.safetensors": weights("F16", 2000),
    "tokenizer/tokenizer_config.json": b"{}",
    "tokenizer/vocab.json": b"{}",
    "unet/diffusion_pytorch_model.safetensors": weights("F32", 3000),
}


def test_parts_of_a_modular_pipeline_come_from_their_repositories(hub, server, serve):
    serve("zoo/pipe", MODULAR)
    commit = serve("zoo/parts", PARTS)
    report = hub.sync("zoo/pipe")
    (variant,) = only(report).variants
    assert base_codes(report) == []
    assert parts(variant) == {
        "transformer": ("zoo/pipe", 2),
        "pipeline": ("zoo/pipe", 1),
        "vae": ("zoo/parts", 2),
        "tokenizer": ("zoo/parts", 2),
    }
    vae = next(part for part in variant.components if part.name == "vae")
    assert (vae.folder, vae.commit, vae.bytes) == ("vae", commit, len(weights("F32", 2000)) + 32)
    assert [file.path for file in vae.files] == [
        "vae/diffusion_pytorch_model.safetensors",
        "vae/config.json",
    ]
    assert variant.precision == "bf16"
    plan = hub.plan("zoo/pipe")
    assert plan.fetch_bytes == hub.pull("zoo/pipe").fetched_bytes
    other = hub.pull("zoo/pipe").others[0]
    assert {file.path for file in other.files} == {
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
    }
    assert server.bytes_sent("unet/diffusion_pytorch_model.safetensors") <= 128 * 1024


def test_a_part_that_its_repository_lacks_is_told(hub, serve):
    serve("zoo/pipe", MODULAR)
    serve("zoo/parts", {path: data for path, data in PARTS.items() if not path.startswith("vae/")})
    report = hub.sync("zoo/pipe")
    assert base_codes(report) == ["base.unfit"]
    assert parts(only(report).variants[0])["vae"] == ("zoo/parts", 0)
    serve("zoo/parts", PARTS)
    hub.sync("zoo/parts")
    assert base_codes(hub.sync("zoo/pipe")) == []


def test_purging_the_base_keeps_what_the_adapter_takes_and_says_so(hub, server, serve):
    serve(BASE, base_files())
    serve(ADAPTER, adapter_files())
    hub.pull(f"{ADAPTER}:bf16")
    hub.pull(f"{BASE}:fp32")
    gone = hub.purge(BASE)
    assert {file.path: file.users for file in gone.kept} == dict.fromkeys(
        base_files().keys() - {"README.md"}, (ADAPTER,)
    )
    assert {file.path for file in gone.removed} == {"README.md"}
    assert hub.plan(f"{ADAPTER}:bf16").fetch_bytes == 0
    server.reset_counts()
    pulled = hub.pull(f"{ADAPTER}:bf16")
    assert (pulled.fetched_bytes, server.requests) == (0, [])
    assert (pulled.others[0].path / "model.safetensors").read_bytes() == weights()
    assert {repo.repo.id for repo in hub.repos()} == {ADAPTER}


def test_an_adapter_is_pulled_offline_after_its_base_is_purged(make_hub, serve):
    with make_hub() as hub:
        serve(BASE, base_files())
        serve(ADAPTER, adapter_files())
        before = hub.pull(f"{ADAPTER}:bf16")
        hub.purge(BASE)
        assert not before.others[0].path.exists()
    with make_hub(offline=True) as hub:
        pulled = hub.pull(f"{ADAPTER}:bf16")
        assert {each.path for each in pulled.others[0].files} == {
            each.path for each in before.others[0].files
        }
        assert pulled.others[0].path == before.others[0].path
        assert pulled.fetched_bytes == 0
        assert pulled.reused_bytes == before.fetched_bytes + before.reused_bytes
        gone = hub.purge(ADAPTER, dry_run=True)
        assert len(gone.folders) == 2
        assert hub.purge(ADAPTER).folders == gone.folders
        assert not pulled.others[0].path.exists()
        assert not pulled.path.exists()


def test_what_is_lent_of_a_purged_base_is_no_garbage_until_the_adapter_goes(make_hub, serve):
    with make_hub() as hub:
        serve(BASE, base_files())
        serve(ADAPTER, adapter_files())
        hub.pull(f"{ADAPTER}:bf16")
        hub.purge(BASE)
    with make_hub(offline=True) as hub:
        lent = hub.pull(f"{ADAPTER}:bf16").others[0].path
        assert hub.store.gc(grace=0, orphans=0).items == ()
        assert (lent / "model.safetensors").read_bytes() == weights()
        hub.purge(ADAPTER)
        lent.mkdir(parents=True)  # as a link leaves it that was killed, or came too late
        done = hub.store.gc(grace=0, orphans=0)
        assert [item.path for item in done.items] == [f"snapshots/{BASE}/{lent.name}"]
        assert not lent.exists()


def test_a_file_of_a_purged_base_that_is_lost_is_asked_for_again(make_hub, serve):
    with make_hub() as hub:
        serve(BASE, base_files())
        serve(ADAPTER, adapter_files())
        hub.pull(f"{ADAPTER}:bf16")
        hub.purge(BASE)
        digest = Digest.of(weights())
        (Path(hub.settings.home) / "store" / blob_path(digest)).unlink()
    with make_hub(offline=True) as hub, pytest.raises(RepositoryNotFound, match="offline"):
        hub.pull(f"{ADAPTER}:bf16")
    with make_hub() as hub:
        assert hub.pull(f"{ADAPTER}:bf16").fetched_bytes >= len(weights())
        assert {repo.repo.id for repo in hub.repos()} == {BASE, ADAPTER}


def test_purging_both_leaves_nothing(hub, serve):
    serve(BASE, base_files())
    serve(ADAPTER, adapter_files())
    hub.pull(f"{ADAPTER}:bf16")
    hub.purge(BASE)
    left = hub.purge(ADAPTER)
    assert {file.path for file in left.removed} >= {"model.safetensors", "adapter_model.safetensors"}
    assert left.kept == ()


def test_purging_the_adapter_leaves_the_base(hub, serve):
    serve(BASE, base_files())
    serve(ADAPTER, adapter_files())
    pulled = hub.pull(f"{ADAPTER}:bf16")
    gone = hub.purge(ADAPTER)
    assert "model.safetensors" not in {file.path for file in gone.removed}
    assert (pulled.others[0].path / "model.safetensors").exists()
    assert hub.plan(f"{BASE}:bf16").fetch_bytes == 0


def test_a_forgotten_base_stays_usable(hub, server, serve):
    serve(BASE, base_files())
    serve(ADAPTER, adapter_files())
    hub.pull(f"{ADAPTER}:bf16")
    hub.forget(BASE)
    server.reset_counts()
    assert hub.pull(f"{ADAPTER}:bf16").fetched_bytes == 0
    assert server.requests == []
    assert [repo.repo.id for repo in hub.repos()] == [ADAPTER]


def test_the_whole_way_on_either_database(make_hub, serve, database_url):
    serve(BASE, base_files())
    serve(ADAPTER, adapter_files())
    hub = make_hub(database=database_url)
    assert [parts(each) for each in only(hub.sync(ADAPTER)).variants] == [BOUND, BOUND]
    assert hub.pull(f"{ADAPTER}:bf16").others[0].repo == BASE
    assert hub.purge(BASE).kept
    pulled = hub.pull(f"{ADAPTER}:bf16")
    assert pulled.fetched_bytes == 0
    gone = hub.purge(ADAPTER)
    assert {file.path for file in gone.removed} >= {"model.safetensors", "adapter_model.safetensors"}
    assert len(gone.folders) == 2
    assert not pulled.others[0].path.exists()


def test_code_of_the_base_is_allowed_for_the_base_at_that_commit(hub, serve):
    config = LLAMA | {"auto_map": {"AutoModelForCausalLM": "modeling_own.OwnModel"}}
    own = {"config.json": json.dumps(config).encode(), "modeling_own.py": b"raise SystemExit\n"}
    commit = serve(BASE, base_files(**own))
    serve(ADAPTER, adapter_files())
    assert "remote_code" in codes(hub.sync(ADAPTER))
    (part,) = (part for part in only(hub.inspect(ADAPTER)).variants[0].components if part.name == "code")
    assert (part.repo, part.commit) == (BASE, commit)
    named = f"modelhub allow-code {BASE}@{commit[:12]}"
    assert named in " ".join(hub.plan(ADAPTER).steps)
    with pytest.raises(InvalidInput, match="no code of its own"):
        hub.allow_code(ADAPTER)
    hub.allow_code(f"{BASE}@{commit[:12]}")
    assert named not in " ".join(hub.plan(ADAPTER).steps)


def test_the_command_line_tells_the_other_folders(make_hub, server, serve, tmp_path, monkeypatch):
    serve(BASE, base_files())
    serve(ADAPTER, adapter_files())
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(app, ["pull", f"{ADAPTER}:bf16"])
    assert done.exit_code == 0
    pulled = make_hub().pull(f"{ADAPTER}:bf16")
    assert done.stdout.strip() == str(pulled.path)
    assert f"4 of them are of {BASE}: {pulled.others[0].path}" in done.stderr
