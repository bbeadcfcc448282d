"""Register, sync, inspect, plan, pull: what moves, what is kept, what is refused."""

import shutil
import socket
import threading
import time

import pytest

from modelhub import ModelRef
from modelhub.errors import (
    AmbiguousReference,
    HubClosed,
    InvalidInput,
    ModelHubError,
    Offline,
    RepositoryNotFound,
    RevisionNotFound,
)
from modelhub.facts import JobKind, JobStatus, SyncStatus
from modelhub.runtimes.echo import EchoRuntime
from tests.zoo.gguf_writer import write_gguf
from tests.zoo.hub_server import Fault
from tests.zoo.repos import REPOSITORY, chat_answers

from .conftest import MODEL

WEIGHTS = ".gguf"


@pytest.fixture
def no_sockets(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    def start():
        monkeypatch.setattr(socket, "socket", refuse)
        monkeypatch.setattr(socket, "create_connection", refuse)

    return start


def test_register_only_records(hub, server):
    record = hub.register(
        MODEL, task_hints=("chat",), preferred_precision="q8_0", quantization_targets=("q5_k_m",)
    )
    assert record.repo.id == MODEL
    assert record.source_uri == f"{server.endpoint}/{MODEL}"
    assert record.sync_status is SyncStatus.INIT
    assert record.task_hints == ("text-generation",)
    assert server.requests == []
    assert [repo.repo.id for repo in hub.repos()] == [MODEL]


def test_a_wish_that_is_empty_takes_it_back_and_one_left_out_stays(hub):
    hub.register(MODEL, task_hints=("chat",), preferred_format="gguf", preferred_precision="q8_0")
    record = hub.register(MODEL, preferred_format="")
    assert (record.preferred_format, record.preferred_precision) == (None, "q8_0")
    record = hub.register(MODEL, preferred_precision="", task_hints=())
    assert (record.preferred_precision, record.task_hints) == (None, ())


def test_sync_reads_headers_and_no_more_of_the_weights(hub, server, zoo_gguf):
    report = hub.sync(MODEL)
    total = sum(path.stat().st_size for path in zoo_gguf.glob("*.gguf"))
    assert 0 < server.bytes_sent(WEIGHTS) <= 128 * 1024 < total
    assert report.license == "apache-2.0"
    (model,) = report.models
    assert model.task == "text-generation"
    assert model.architecture == "llama"
    assert {variant.name for variant in model.variants} == {"fp16", "q8_0", "q4_0", "q4_k_m"}
    assert model.context_length == 1024
    assert hub.repos()[0].sync_status is SyncStatus.COMPLETED
    (job,) = hub.jobs.list()
    assert (job.kind, job.status) == (JobKind.REPO_SYNC, JobStatus.SUCCEEDED)
    assert str(job).endswith("succeeded, 4 of 4 files")


def test_planning_opens_no_socket(hub, server, no_sockets):
    hub.sync(MODEL)
    server.reset_counts()
    no_sockets()
    plan = hub.plan(MODEL, task="chat")
    assert server.requests == []
    assert (plan.variant, plan.runtime, plan.fits) == ("fp16", "llama_server", True)
    assert plan.fetch_bytes > 0
    assert plan.reuse_bytes < 1000  # the card
    assert "fetch" in str(plan)


def test_pull_gives_a_folder_and_the_second_time_nothing_moves(hub, server, zoo_gguf):
    seen = []
    first = hub.pull(f"{MODEL}:q8_0", progress=seen.append)
    (weights,) = zoo_gguf.glob("*q8_0.gguf")
    assert (first.path / weights.name).read_bytes() == weights.read_bytes()
    assert (first.path / "README.md").exists()
    assert first.fetched_bytes == weights.stat().st_size
    fetching = [progress for progress in seen if progress.stage == "fetch"]
    assert fetching[-1].done == fetching[-1].total == weights.stat().st_size
    server.reset_counts()
    again = hub.pull(f"{MODEL}:q8_0")
    assert (again.fetched_bytes, again.path) == (0, first.path)
    assert again.files == first.files
    assert server.requests == []
    assert hub.plan(f"{MODEL}:q8_0").fetch_bytes == 0


def test_a_second_repository_with_the_same_file_stores_nothing_twice(hub, server, zoo_gguf, tmp_path):
    twin = tmp_path / "twin"
    shutil.copytree(zoo_gguf, twin)
    (twin / "README.md").write_text("# a copy\n")
    server.add("other/same-weights", twin)
    first = hub.pull(f"{MODEL}:q8_0")
    server.reset_counts()
    plan = hub.plan("other/same-weights:q8_0")
    assert (plan.fetch_bytes, plan.files[0].present) == (0, True)
    second = hub.pull("other/same-weights:q8_0")
    assert second.fetched_bytes == 0
    (name,) = [file.path for file in second.files if file.path.endswith(WEIGHTS)]
    assert (second.path / name).stat().st_ino == (first.path / name).stat().st_ino
    assert server.bytes_sent("q8_0.gguf") <= 128 * 1024


def test_what_is_known_is_answered_offline(make_hub, no_sockets):
    with make_hub() as online:
        online.pull(f"{MODEL}:q8_0")
    no_sockets()
    hub = make_hub(offline=True)
    assert hub.inspect(MODEL).models
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes == 0
    assert hub.files(MODEL)
    with pytest.raises(Offline):
        hub.pull(f"{MODEL}:q4_0")
    with pytest.raises(Offline):
        hub.sync(MODEL)
    with pytest.raises(RepositoryNotFound, match="offline") as caught:
        hub.inspect("zoo/tiny-chat")
    assert MODEL in caught.value.hint
    with pytest.raises(RevisionNotFound, match="v9"):
        hub.inspect(f"{MODEL}@v9")


def test_names_compare_without_case_and_print_as_the_source_spells_them(hub):
    assert hub.inspect("ZOO/TINY-chat-gguf").repo == MODEL
    assert hub.inspect("tiny-chat-GGUF").repo == MODEL
    assert hub.inspect(ModelRef.parse(f"hf://{MODEL}")).repo == MODEL
    assert len(hub.repos()) == 1


def test_a_name_without_vendor_that_several_have_is_ambiguous(hub, server, zoo_gguf):
    server.add("other/tiny-chat-GGUF", zoo_gguf)
    hub.sync(MODEL)
    hub.sync("other/tiny-chat-GGUF")
    with pytest.raises(AmbiguousReference) as caught:
        hub.inspect("tiny-chat-GGUF")
    assert "zoo/tiny-chat-GGUF" in caught.value.hint
    assert "other/tiny-chat-GGUF" in caught.value.hint


def test_a_moved_branch_is_seen_by_sync_only(hub, server, zoo_gguf, tmp_path):
    before = hub.inspect(MODEL).commit
    newer = tmp_path / "newer"
    shutil.copytree(zoo_gguf, newer)
    (newer / "extra.txt").write_text("new")
    server.push(MODEL, newer)
    assert hub.inspect(MODEL).commit == before
    assert hub.inspect(MODEL, refresh=True).commit == server.commit(MODEL) != before
    assert hub.inspect(f"{MODEL}@{before}").commit == before
    assert hub.inspect(f"{MODEL}@{before[:10]}").commit == before


def test_a_local_folder_and_a_single_file(hub, zoo_gguf, server):
    case = next(case for case in chat_answers() if len(case.messages) == 1)
    question = case.messages[0]["content"]
    assert hub.chat(zoo_gguf, question, variant="q8_0", temperature=0).text == case.answer
    (file,) = zoo_gguf.glob("*q8_0.gguf")
    reply = hub.chat(str(file), question, temperature=0)
    assert reply.text == case.answer
    name = reply.provenance.repo
    assert name.startswith("local/")
    assert hub.chat(name, question, temperature=0).text == case.answer
    assert hub.sync(name).models
    assert server.requests == []


def test_two_folders_of_one_name_are_two_repositories(hub, zoo_gguf, tmp_path):
    for place in ("one", "two"):
        (tmp_path / place / "model").mkdir(parents=True)
        shutil.copy(next(zoo_gguf.glob("*q8_0.gguf")), tmp_path / place / "model")
        hub.register(tmp_path / place / "model")
        assert hub.inspect(tmp_path / place / "model").models
    assert len({repo.repo.id for repo in hub.repos()}) == 2


def test_the_whole_way_on_either_database(make_hub, database_url):
    hub = make_hub(database=database_url)
    hub.register(MODEL)
    assert hub.sync(MODEL).models
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes > 0
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes == 0
    case = next(case for case in chat_answers() if len(case.messages) == 1)
    assert hub.chat(f"{MODEL}:q8_0", case.messages[0]["content"], temperature=0).text == case.answer
    assert [job.status for job in hub.jobs.list()] == [JobStatus.SUCCEEDED] * 2
    assert hub.plan(f"{MODEL}:q8_0").fetch_bytes == 0


def test_the_plan_says_what_the_pull_moves(hub, server, zoo_gguf, tmp_path):
    odd = tmp_path / "odd"
    shutil.copytree(zoo_gguf, odd)
    (odd / "tokenizer.json").write_bytes(b"{}" * 6_000_000)
    (odd / "merges.txt").write_text("a b\n")
    (odd / "config.json").write_text("{}")
    server.add("zoo/odd", odd)
    plan = hub.plan("zoo/odd:q8_0")
    assert {file.path for file in plan.files} == {"zoo-chat-q8_0.gguf", "README.md", "config.json"}
    assert hub.pull("zoo/odd:q8_0").fetched_bytes == plan.fetch_bytes
    assert hub.plan("zoo/odd:q8_0").fetch_bytes == 0


def test_a_broken_plugin_is_only_not_to_be_had(hub, monkeypatch):
    hub.sync(MODEL)

    def fail(*_):
        raise ZeroDivisionError("no estimate")

    monkeypatch.setattr(EchoRuntime, "footprint", fail)
    assert hub.plan(MODEL).runtime == "llama_server"
    broken = hub.plan(MODEL, runtime="echo")
    assert broken.runtime is None
    assert "ZeroDivisionError" in broken.why[0]


def test_two_models_with_variants_of_one_name_are_two_downloads(hub, server, zoo_gguf, tmp_path):
    both = tmp_path / "both"
    both.mkdir()
    shutil.copy(zoo_gguf / "zoo-chat-q8_0.gguf", both / "alpha-q8_0.gguf")
    write_gguf(REPOSITORY, both / "beta-q8_0.gguf", "q8_0")
    with (both / "beta-q8_0.gguf").open("ab") as file:
        file.write(bytes(32))  # another file, as sound as the first
    server.add("zoo/both", both)
    hub.sync("zoo/both")
    server.faults["alpha-q8_0.gguf"] = Fault(rate=1_500_000)
    pulled = {}

    def pull(name):
        pulled[name] = [file.path for file in hub.pull(f"zoo/both:{name}").files]

    threads = [threading.Thread(target=pull, args=(name,)) for name in ("alpha", "beta")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert pulled == {"alpha": ["alpha-q8_0.gguf"], "beta": ["beta-q8_0.gguf"]}


def test_two_stores_on_one_database_each_get_the_bytes(make_hub, server, tmp_path):
    one, two = make_hub(store=tmp_path / "one"), make_hub(store=tmp_path / "two")
    one.sync(MODEL)
    server.faults["zoo-chat-q8_0.gguf"] = Fault(rate=2_000_000)
    snapshots = []
    threads = [
        threading.Thread(target=lambda hub=hub: snapshots.append(hub.pull(f"{MODEL}:q8_0")))
        for hub in (one, two)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({snapshot.path for snapshot in snapshots}) == 2
    assert all((snapshot.path / "zoo-chat-q8_0.gguf").exists() for snapshot in snapshots)


def test_closing_a_hub_stops_what_it_does(make_hub, server):
    hub = make_hub()
    hub.sync(MODEL)
    server.faults["zoo-chat-f16.gguf"] = Fault(rate=200_000)
    outcome = []

    def pull():
        try:
            hub.pull(f"{MODEL}:fp16")
        except ModelHubError as error:
            outcome.append(error)

    thread = threading.Thread(target=pull)
    thread.start()
    fetching = JobKind.ARTIFACT_DOWNLOAD
    while not any(job.done and job.kind is fetching for job in hub.jobs.list(limit=1)):
        time.sleep(0.05)
    hub.close()
    thread.join(30)
    assert [type(error) for error in outcome] == [HubClosed]
    with make_hub() as again:
        assert again.jobs.list(limit=1)[0].status is JobStatus.CANCELLED
        del server.faults["zoo-chat-f16.gguf"]
        assert again.pull(f"{MODEL}:fp16").fetched_bytes > 0


def test_a_vendorless_repository_beside_a_namesake(hub, server, zoo_gguf):
    server.add("tiny-chat-GGUF", zoo_gguf)
    hub.sync(MODEL)
    assert hub.inspect("tiny-chat-GGUF").repo == MODEL
    assert hub.inspect("huggingface://tiny-chat-GGUF").repo == "tiny-chat-GGUF"
    assert hub.inspect("tiny-chat-GGUF").repo == "tiny-chat-GGUF"
    assert hub.pull("huggingface://tiny-chat-GGUF:q8_0").path.exists()


def test_a_folder_has_no_revisions(hub, zoo_gguf):
    name = hub.inspect(zoo_gguf).repo
    with pytest.raises(RevisionNotFound, match="abcdef"):
        hub.inspect(f"{name}@abcdef")


def test_an_unknown_precision_is_refused(hub, server):
    with pytest.raises(InvalidInput, match="banana"):
        hub.register(MODEL, preferred_precision="banana")
    with pytest.raises(InvalidInput, match="quantization_targets"):
        hub.register(MODEL, quantization_targets=("q8_0", "soon"))
    assert hub.register(MODEL, preferred_precision="F16").preferred_precision == "fp16"


def test_many_hubs_in_one_process(make_hub, tmp_path):
    one, two = make_hub(home=tmp_path / "one"), make_hub(home=tmp_path / "two")
    one.sync(MODEL)
    assert one.repos()
    assert not two.repos()
