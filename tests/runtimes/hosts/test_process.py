"""Models in processes of their own: how they begin, and every way in which they end."""

import os
import signal
import subprocess
import sys
import threading
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelhub.errors import (
    Cancelled,
    DeadlineExceeded,
    EngineError,
    InvalidInput,
    LoadFailed,
    ProcessLost,
    RuntimeBroken,
    RuntimeNotInstalled,
)
from modelhub.facts import Call
from modelhub.runtimes import SharedParts, find_device
from modelhub.runtimes.hosts import Hosts, Order, ProcessHost, ThreadHost
from modelhub.runtimes.hosts import process as process_module
from modelhub.tasks import chat_request
from tests.runtimes.fakes.files import write_bundle
from tests.runtimes.fakes.tokens import TokensRuntime
from tests.runtimes.hosts import subjects

AT_MOST = 2.0
"""Seconds in which a killed child's callers must have an answer."""

ENDLESS = chat_request("word " * 100_000)


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "model", "text-generation")


@pytest.fixture
def load(bundle):
    loaded = []

    def load(kind=TokensRuntime, call=None, **options):
        order = Order(kind(), f"{kind.__module__}:{kind.__name__}", bundle, find_device("cpu"), options)
        instance = ProcessHost().load(order, SharedParts(), call or Call())
        loaded.append(instance)
        return instance

    yield load
    for instance in loaded:
        instance.close()


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def group(pid):
    """The processes of a child's session."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _session(entry) == pid
    ]


def _session(entry):
    try:
        return int((entry / "stat").read_text().rsplit(")", 1)[1].split()[3])
    except (OSError, IndexError):
        return None


def soon(condition, within=20.0):
    until = time.monotonic() + within
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


# How it begins


def test_a_child_is_named_and_has_a_session_of_its_own(load):
    instance = load()
    command = Path(f"/proc/{instance.pid}/cmdline").read_bytes().split(b"\0")
    assert command[:4] == [sys.executable.encode(), b"-P", b"-m", b"modelhub.runtimes.child"]
    assert os.getsid(instance.pid) == instance.pid
    assert instance.alive
    assert instance.memory > 1 << 20


def test_a_child_sees_no_secret_and_not_the_current_folder(load, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    (tmp_path / "json.py").write_text("raise SystemExit('from the current folder')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        load(subjects.Environment)
    seen = caught.value.details["seen"]
    assert "HF_TOKEN" not in seen["environment"]
    assert seen["session"]


def test_what_an_engine_prints_does_not_hold_it_up(load, capfd):
    instance = load(subjects.Chattering)
    assert instance.infer(chat_request("Hi there"), Call()).text == "Hi there"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("change", [{"PROTOCOL": 99}, {"version": lambda _: "0.0.1"}])
def test_another_version_is_refused_at_hello(load, monkeypatch, change):
    for name, value in change.items():
        monkeypatch.setattr(process_module, name, value)
    with pytest.raises(LoadFailed, match="speaks") as caught:
        load()
    assert "pip install modelhub==" in caught.value.hint


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory):
    """An interpreter that has nothing installed."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    return str(folder / "bin" / "python")


def test_an_interpreter_without_modelhub(bundle, bare_python):
    order = Order(TokensRuntime(), "x:y", bundle, find_device("cpu"))
    with pytest.raises(RuntimeNotInstalled, match="has no modelhub") as caught:
        ProcessHost(bare_python).load(order, SharedParts(), Call())
    assert caught.value.hint.startswith(f"Run: {bare_python} -m pip install modelhub==")
    assert caught.value.details["install"] in caught.value.hint


def test_an_interpreter_that_lacks_the_engine(load):
    with pytest.raises(RuntimeNotInstalled, match="needs no_such_engine") as caught:
        load(subjects.Lacking)
    assert caught.value.hint == f"Run: {sys.executable} -m pip install no-such-engine"


@pytest.mark.parametrize("python", ["/nowhere/python", "/etc/passwd", "/bin/false"])
def test_what_is_no_interpreter(bundle, python):
    order = Order(TokensRuntime(), "x:y", bundle, find_device("cpu"))
    with pytest.raises((InvalidInput, LoadFailed)) as caught:
        ProcessHost(python).load(order, SharedParts(), Call())
    assert "python" in str(caught.value) or "process of tokens" in str(caught.value)


@pytest.mark.parametrize(
    "origin", ["no_such_module:X", "json:loads", "json:nothing", "modelhub.facts:Call"]
)
def test_an_origin_that_makes_no_runtime(bundle, origin):
    order = Order(TokensRuntime(), origin, bundle, find_device("cpu"))
    with pytest.raises(RuntimeBroken, match=origin):
        ProcessHost().load(order, SharedParts(), Call())


def test_options_that_cannot_be_sent(load):
    with pytest.raises(InvalidInput, match="object"):
        load(x=object())


def test_what_load_raises_is_typed(load):
    with pytest.raises(LoadFailed, match="SystemExit: 3"):
        load(subjects.Leaving)
    with pytest.raises(RuntimeBroken, match="gave 'str', not an Instance"):
        load(subjects.NoInstance)


def test_the_hosts_choose(bundle):
    class Isolated(TokensRuntime):
        isolated = True

    hosts = Hosts()
    allowed = type(bundle)(bundle.model, bundle.variant, bundle.roots, code_allowed=True)
    assert isinstance(hosts.choose(TokensRuntime(), bundle), ThreadHost)
    assert isinstance(hosts.choose(Isolated(), bundle), ProcessHost)
    assert isinstance(hosts.choose(TokensRuntime(), allowed), ProcessHost)
    assert isinstance(Hosts("process").choose(TokensRuntime(), bundle), ProcessHost)


# How it ends


def test_a_load_can_be_cancelled_and_leaves_no_process(load):
    before = set(group_of_mine())
    with pytest.raises(DeadlineExceeded):
        load(subjects.SlowToLoad, Call(timeout=1))
    call = Call()
    threading.Timer(0.5, call.cancel).start()
    with pytest.raises(Cancelled):
        load(subjects.SlowToLoad, call)
    soon(lambda: set(group_of_mine()) == before)


def group_of_mine():
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in found.stdout.split() if alive(int(pid))]


def test_a_crash_while_loading_is_told_with_its_last_words(load):
    with pytest.raises(LoadFailed, match=r"SIGSEGV.*while it loaded") as caught:
        load(subjects.Crashing)
    assert "tensor != NULL" in caught.value.hint
    assert isinstance(caught.value.__cause__, ProcessLost)


def test_a_killed_child_costs_its_callers_a_typed_error_at_once(load):
    instance = load(delay=0.01)
    stream = instance.stream(ENDLESS, Call())
    next(stream)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(instance.infer, ENDLESS, Call()) for _ in range(2)]
        asked.append(pool.submit(list, stream))
        time.sleep(0.2)
        killed = time.monotonic()
        os.kill(instance.pid, signal.SIGKILL)
        for future in asked:
            assert isinstance(future.exception(timeout=20), ProcessLost)
        assert time.monotonic() - killed < AT_MOST
    assert not instance.alive
    with pytest.raises(ProcessLost, match="SIGKILL"):
        instance.infer(chat_request("Hi"), Call())
    soon(lambda: not group(instance.pid))


def test_what_the_child_started_ends_with_it(load):
    instance = load(subjects.WithChild)
    assert len(group(instance.pid)) == 2
    os.kill(instance.pid, signal.SIGKILL)
    soon(lambda: not group(instance.pid))


def test_close_ends_a_child_that_does_not_let_go(load, monkeypatch):
    monkeypatch.setattr("modelhub.runtimes.hosts.worker.PATIENCE", 0.5)
    instance = load(subjects.Locked)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(instance.infer, chat_request("Hi"), Call())
        time.sleep(0.2)
        instance.close()
        assert isinstance(asked.exception(timeout=20), EngineError | Cancelled)
    assert not group(instance.pid)


def test_a_deadline_holds_though_the_child_does_not_listen(load, monkeypatch):
    monkeypatch.setattr("modelhub.runtimes.hosts.worker.PATIENCE", 0.5)
    instance = load(subjects.Locked)
    with pytest.raises(DeadlineExceeded):
        instance.infer(chat_request("Hi"), Call(timeout=0.3))
    instance.close()
    assert not group(instance.pid)


def test_a_child_that_goes_on_with_what_was_cancelled_is_killed(load, monkeypatch, caplog):
    monkeypatch.setattr("modelhub.runtimes.hosts.worker.OBEDIENCE", 0.5)
    instance = load(subjects.Deaf)
    with pytest.raises(DeadlineExceeded):
        instance.infer(chat_request("Hi"), Call(timeout=0.1))
    soon(lambda: not instance.alive)
    with pytest.raises(ProcessLost, match="SIGKILL"):
        instance.infer(chat_request("Hi"), Call())
    assert "child_disobedient" in caplog.messages


def test_a_child_that_obeys_is_left_alone(load, monkeypatch):
    monkeypatch.setattr("modelhub.runtimes.hosts.worker.OBEDIENCE", 0.5)
    instance = load(delay=0.01)
    for leave in (0.05, 0.1, 0.2):
        with pytest.raises(DeadlineExceeded):
            instance.infer(ENDLESS, Call(timeout=leave))
        stream = instance.stream(ENDLESS, Call())
        next(stream)
        stream.close()
    for _ in range(50):  # left in the moment of their end
        stream = instance.stream(chat_request("a b"), Call())
        next(stream)
        stream.close()
    with pytest.raises(InvalidInput, match="cannot be sent"):
        instance.infer(object(), Call())
    time.sleep(2.2)
    assert instance.infer(chat_request("still here"), Call()).text == "still here"


def test_ctrl_c_when_the_question_has_gone_out_cancels_it(load, monkeypatch):
    instance = load(delay=0.01)
    channel = instance._worker._channel
    send = channel.send

    def interrupted(message):
        send(message)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(channel, "send", interrupted)
        with pytest.raises(KeyboardInterrupt):
            instance.infer(ENDLESS, Call())
    soon(lambda: list(instance._worker.ask({"type": "stats"}, Call()))[-1]["calls"] == 0)
    assert instance.infer(chat_request("still here"), Call()).text == "still here"


def test_whatever_is_raised_in_a_child_reaches_who_asked(load):
    instance = load(subjects.Interrupting)
    with pytest.raises(EngineError, match="KeyboardInterrupt"):
        instance.infer(chat_request("Hi"), Call(timeout=20))
    with pytest.raises(InvalidInput, match="it is odd"):
        list(instance.stream(chat_request("Hi"), Call(timeout=20)))


def test_a_dropped_instance_ends_its_child(bundle):
    order = Order(
        TokensRuntime(), f"{TokensRuntime.__module__}:TokensRuntime", bundle, find_device("cpu")
    )
    instance = ProcessHost().load(order, SharedParts(), Call())
    pid = instance.pid
    del instance
    soon(lambda: not group(pid))


PARENT = """
import os, sys, time
from tests.runtimes.fakes.files import write_bundle
from tests.runtimes.hosts import subjects
from tests.runtimes.fakes.tokens import TokensRuntime
from modelhub.facts import Call
from modelhub.runtimes.testing import Subject
from modelhub.tasks import chat_request
from pathlib import Path
kind = getattr(subjects, sys.argv[2], TokensRuntime)
bundle = write_bundle(Path(sys.argv[1]), "text-generation")
instance = Subject(kind(), bundle, {} if kind is subjects.Locked else {"delay": 0.01}).load("process")
print(instance.pid, flush=True)
if kind is not TokensRuntime:
    instance.infer(chat_request("Hi"), Call())
for piece in instance.stream(chat_request("word " * 100_000), Call()):
    pass
"""


def start_parent(tmp_path, kind="TokensRuntime"):
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "parent"), kind],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[3],
    )


@pytest.mark.parametrize("kind", ["TokensRuntime", "Locked", "WithChild"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_parents_end_is_the_childs_end(tmp_path, kind, number):
    with start_parent(tmp_path, kind) as parent:
        pid = int(parent.stdout.readline())
        time.sleep(0.3)
        os.kill(parent.pid, number)
        parent.wait(20)
        soon(lambda: not group(pid))


def test_ctrl_c_reaches_the_parent_alone(tmp_path):
    with start_parent(tmp_path) as parent:
        pid = int(parent.stdout.readline())
        time.sleep(0.2)
        os.kill(pid, signal.SIGINT)
        time.sleep(0.2)
        assert alive(pid)
        os.kill(parent.pid, signal.SIGINT)
        parent.wait(20)
        soon(lambda: not group(pid))


def test_a_fork_of_the_parent_leaves_the_child_alone(load):
    instance = load()
    pid = os.fork()
    if pid == 0:
        try:
            instance.close()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert instance.infer(chat_request("still here"), Call()).text == "still here"


def test_a_child_that_talks_nonsense_is_ended(load, caplog):
    with pytest.raises(LoadFailed, match="SIGKILL"):
        load(subjects.Nonsense)
    assert "child_incomprehensible" in caplog.messages
