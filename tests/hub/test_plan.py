"""Plans through a Hub: wishes of registration, memory of the device, room on the disk, no socket."""

import socket
import sys

import pytest

from modelhub.errors import DoesNotFit, StoreFull
from modelhub.facts import Plan
from modelhub.formats import RangeReader, read_gguf
from modelhub.hub.hindrances import check_room
from modelhub.refs import Digest
from modelhub.runtimes import devices
from modelhub.runtimes.devices import cpu
from modelhub.store import Expected
from modelhub.store.fsops import FsOps
from modelhub.store.parts import Grain

from .conftest import MODEL

MB = 10**6


def tensor_bytes(folder, name):
    return sum(t.nbytes for t in read_gguf(RangeReader.from_path(folder / name)).tensors)


def test_the_memory_of_the_variant_whose_header_was_read_is_exact(hub, zoo_gguf):
    smallest = min(zoo_gguf.glob("*.gguf"), key=lambda path: path.stat().st_size)
    plan = hub.plan(f"{MODEL}:q4_0", runtime="llama_server")
    assert "q4_0" in smallest.name
    assert plan.need.tier == "header"
    assert plan.need.of("weights") == tensor_bytes(zoo_gguf, smallest.name) < plan.choice.bytes
    assert plan.memory == plan.need.total == sum(part.bytes for part in plan.need.parts)
    assert f"         {plan.need}" in str(plan)
    assert str(plan.need).endswith(", by the weights' headers")
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_what_was_wished_for_at_registration_decides(hub):
    names = [variant.name for variant in hub.inspect(MODEL).models[0].variants]
    assert hub.plan(MODEL, runtime="echo").variant == names[0] != "q4_0"
    hub.register(MODEL, preferred_precision="q4_0")
    plan = hub.plan(MODEL, runtime="echo")
    assert plan.variant == "q4_0"
    assert [(each.variant, each.reason) for each in plan.passed] == [
        (name, "not_preferred") for name in names[: names.index("q4_0")]
    ]
    assert "preferred_precision q4_0" in str(plan)
    assert hub.plan(f"{MODEL}:{names[0]}", runtime="echo").variant == names[0]
    assert hub.chat(MODEL, "Hello", runtime="echo").provenance.variant == "q4_0"
    hub.register(MODEL, preferred_precision="q8_0")
    assert hub.chat(MODEL, "Hello", runtime="echo").provenance.variant == "q8_0"
    assert hub.pull(MODEL).path.joinpath("zoo-chat-q8_0.gguf").exists()


def test_targets_are_taken_in_their_order(hub):
    hub.register(MODEL, quantization_targets=("fp64", "q4_0", "q8_0"))
    assert hub.plan(MODEL, runtime="echo").variant == "q4_0"


def test_the_limit_of_a_control_group_is_what_a_plan_fits_into(hub, monkeypatch):
    """The group above has a lower limit than the own one, as a pod's has than a container's."""
    hub.sync(MODEL)
    small = devices()[0].model_copy(update={"memory_total": 200 * MB, "memory_free": 100 * MB})
    monkeypatch.setattr("modelhub.hub.planning.devices", lambda: (small,))
    plan = hub.plan(MODEL, runtime="llama_server")
    assert (plan.memory_free, plan.fits) == (100 * MB, False)
    assert {each.reason for each in plan.passed} == {"does_not_fit"}
    if plan.runtime is not None:
        with pytest.raises(DoesNotFit, match=r"weights .* \+ cache"):
            hub.chat(MODEL, "Hello", runtime="llama_server")


@pytest.mark.skipif(sys.platform != "linux", reason="control groups")
def test_the_device_is_read_through_every_group_above(hub, monkeypatch, tmp_path):
    group = tmp_path / "sys/fs/cgroup/pod/box"
    group.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 8000000 kB\nMemAvailable: 7000000 kB\n")
    (tmp_path / "proc/self/cgroup").write_text("0::/pod/box\n")
    (tmp_path / "proc/self/mountinfo").write_text(
        "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    )
    for folder, limit, used in ((group, 3000 * MB, 100 * MB), (group.parent, 500 * MB, 200 * MB)):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"inactive_file {50 * MB}\n")
    monkeypatch.setattr("modelhub.hub.planning.devices", lambda: (cpu(tmp_path),))
    plan = hub.plan(MODEL, runtime="echo")
    assert plan.memory_free == (500 - 150) * MB


def test_no_room_is_refused_before_anything_is_fetched(hub, server, monkeypatch):
    hub.sync(MODEL)
    plan = hub.plan(f"{MODEL}:q8_0")
    assert plan.disk_free > plan.disk_needed >= plan.fetch_bytes > 0
    monkeypatch.setattr(FsOps, "free", lambda *_: plan.fetch_bytes - 1)
    server.reset_counts()
    assert "disk" in {warning.code for warning in hub.plan(f"{MODEL}:q8_0").warnings}
    for call in (
        lambda: hub.pull(f"{MODEL}:q8_0"),
        lambda: hub.chat(f"{MODEL}:q8_0", "Hello", runtime="echo"),
    ):
        with pytest.raises(StoreFull, match="are missing") as caught:
            call()
        assert caught.value.details["free"] == plan.fetch_bytes - 1
    assert server.requests == []
    monkeypatch.undo()
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes > 0
    done = hub.plan(f"{MODEL}:q8_0")
    assert (done.fetch_bytes, done.reuse_bytes) == (0, plan.fetch_bytes + plan.reuse_bytes)


def test_what_is_there_of_a_file_needs_no_room_again(hub, server, monkeypatch):
    hub.sync(MODEL)
    plan = hub.plan(f"{MODEL}:q8_0")
    file = max(plan.files, key=lambda file: file.size)
    store = hub.store._store
    store._parts.grain = Grain(block=4096, checkpoint=4096)
    with store.receive(Expected(sha256=file.sha256, size=file.size)) as part:
        part.write(0, memoryview(bytes(file.size - 1)))
    (here,) = (store.root / "tmp").glob("*.part")
    taken = here.stat().st_blocks * 512
    assert taken > file.size // 2
    monkeypatch.setattr(FsOps, "free", lambda *_: plan.disk_needed - min(taken, file.size))
    check_room(plan, store)
    monkeypatch.setattr(FsOps, "free", lambda *_: plan.disk_needed - min(taken, file.size) - 1)
    with pytest.raises(StoreFull, match="are missing"):
        check_room(plan, store)


def test_what_others_receive_keeps_its_room(hub, server, monkeypatch):
    hub.sync(MODEL)
    plan = hub.plan(f"{MODEL}:q8_0")
    monkeypatch.setattr(FsOps, "free", lambda *_: plan.disk_needed + 1_000_000)
    server.reset_counts()
    promise = Expected(sha256=Digest("1" * 64), size=1_000_001 + 65536)
    with hub.store._store.receive(promise):
        with pytest.raises(StoreFull, match="for what is being received"):
            hub.pull(f"{MODEL}:q8_0")
        assert server.requests == []
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes > 0


def test_planning_a_synced_repository_opens_no_socket(hub, monkeypatch):
    hub.sync(MODEL)

    def refuse(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for model in (MODEL, f"{MODEL}:q4_0"):
        assert hub.plan(model, task="chat").fetch_bytes > 0
    assert hub.inspect(MODEL).models


def test_inspect_says_who_has_the_same_bytes(hub, server, zoo_gguf):
    assert hub.inspect(MODEL).shared == ()
    server.add("zoo/mirror-GGUF", zoo_gguf)
    hub.sync("zoo/mirror-GGUF")
    (found,) = hub.inspect(MODEL).shared
    weights = hub.inspect(MODEL).models[0].variants
    assert (found.repo, found.components) == ("zoo/mirror-GGUF", ("model",))
    assert found.bytes == sum(variant.bytes for variant in weights)
    assert str(found) in str(hub.inspect(MODEL))
    hub.forget("zoo/mirror-GGUF")
    assert hub.inspect(MODEL).shared == ()
