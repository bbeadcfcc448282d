"""What the engines do to their process: signals, sockets, threads, the end. Each in a fresh one."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("xllamacpp", reason="the llama-server extra is not installed")
pytest.importorskip("llama_cpp", reason="the llama extra is not installed")

ROOT = Path(__file__).parents[2]

PRELUDE = """
import gc, os, signal, sys, threading, time, warnings
from pathlib import Path
from modelhub.facts import Call
from modelhub.runtimes import Runtimes, SharedParts, find_device
from modelhub.tasks import chat_request
from tests.runtimes.zoo import bundle

def load():
    path, runtime = Path({path!r}), Runtimes().load({engine!r})
    options = {{"n_threads": 1}}
    return runtime.load(bundle(path.parent, path.name), find_device("cpu"), options, SharedParts())

def load_elsewhere():
    loaded = []
    thread = threading.Thread(target=lambda: loaded.append(load()))
    thread.start()
    thread.join()
    return loaded[0]

def works(instance):
    return instance.infer(chat_request("Hi", max_tokens=2), Call(timeout=20)).usage.completion_tokens == 2

endless = chat_request("Go on.", temperature=0)

# llama-cpp-python opens it twice when it is imported, and leaves it to the end of the program.
warnings.filterwarnings("ignore", "unclosed file .*/dev/null", ResourceWarning)
"""

Run = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for temporary files with a path as short as people have it; pytest's own are long."""
    with tempfile.TemporaryDirectory(prefix="mh-") as folder:
        yield Path(folder)


@pytest.fixture
def engine() -> str:
    """The runtime that a program loads with."""
    return "llama_server"


both = pytest.mark.parametrize("engine", ["llama_server", "llama_cpp"])


@pytest.fixture
def program(slow_gguf: Path, place: Path, engine: str) -> Run:
    """Runs a script after PRELUDE; warnings are errors there too, `place` is its TMPDIR."""

    def run(script: str) -> subprocess.CompletedProcess[str]:
        code = PRELUDE.format(path=str(slow_gguf), engine=engine) + textwrap.dedent(script)
        command = [sys.executable, "-W", "error", "-X", "faulthandler", "-c", code]
        environment = {**os.environ, "TMPDIR": str(place), "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )

    return run


def check(done: subprocess.CompletedProcess[str], place: Path) -> None:
    """It said ok and nothing else, and left nothing."""
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("ok", "", 0)
    assert list(place.iterdir()) == []


@both
@pytest.mark.parametrize("loader", ["load", "load_elsewhere"])
class TestCtrlC:
    def test_it_ends_a_stream_and_the_next_request_is_served(
        self, program: Run, place: Path, loader: str
    ) -> None:
        done = program(f"""
            instance = {loader}()
            stream = instance.stream(endless, Call())
            next(stream)
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                for _ in stream: pass
            except KeyboardInterrupt:
                assert works(instance)
                print("ok")
        """)
        check(done, place)

    def test_it_ends_infer(self, program: Run, place: Path, loader: str) -> None:
        done = program(f"""
            instance = {loader}()
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                instance.infer(endless, Call())
            except KeyboardInterrupt:
                assert works(instance)
                print("ok")
        """)
        check(done, place)

    def test_a_second_one_is_as_harmless_as_the_first(
        self, program: Run, place: Path, loader: str
    ) -> None:
        done = program(f"""
            instance = {loader}()
            caught = 0
            for _ in range(3):
                try:
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(1)
                except KeyboardInterrupt:
                    caught += 1
            assert caught == 3 and works(instance)
            print("ok")
        """)
        check(done, place)

    def test_it_reaches_a_caller_who_waits_for_his_turn(
        self, program: Run, place: Path, loader: str
    ) -> None:
        done = program(f"""
            instance = {loader}()
            running = instance.stream(endless, Call())
            next(running)
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                instance.infer(endless, Call())
            except KeyboardInterrupt:
                running.close()
                assert works(instance)
                print("ok")
        """)
        check(done, place)

    def test_sigterm_still_ends_the_program(self, program: Run, loader: str) -> None:
        done = program(f"""
            instance = {loader}()
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)
        """)
        assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "", "")


def test_an_engine_that_takes_the_signals_does_not_keep_them(program: Run, place: Path) -> None:
    done = program("""
        import ctypes, xllamacpp
        libc, Server = ctypes.CDLL(None), xllamacpp.Server

        def greedy(params):  # as xllamacpp did until 2026: a handler in C, from a thread of its own
            ignore = ctypes.c_void_p(1)
            for number in (signal.SIGINT, signal.SIGTERM):
                thread = threading.Thread(target=libc.signal, args=(int(number), ignore))
                thread.start()
                thread.join()
            os.kill(os.getpid(), signal.SIGINT)  # is ignored, so the handler was taken
            return Server(params)

        xllamacpp.Server = greedy
        signal.signal(signal.SIGTERM, lambda *_: print("ok"))
        for loader in (load, load_elsewhere):
            instance = loader()
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1)
                sys.exit("Ctrl-C was lost")
            except KeyboardInterrupt:
                instance.close()
        os.kill(os.getpid(), signal.SIGTERM)
    """)
    check(done, place)


def test_it_listens_on_a_private_socket_and_on_no_port(program: Run, place: Path) -> None:
    done = program("""
        import stat
        instance = load()
        mine = set()
        for name in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{name}")
            except FileNotFoundError:
                continue
            if target.startswith("socket:["):
                mine.add(target[8:-1])
        assert mine
        for table in ("tcp", "tcp6", "udp", "udp6"):
            rows = [line.split() for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]]
            assert not [row for row in rows if row[9] in mine], table
        (folder,) = Path(os.environ["TMPDIR"]).iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (marker, socket) = sorted(folder.iterdir())
        assert (marker.name, stat.S_IMODE(marker.stat().st_mode)) == ("engine.lock", 0o600)
        assert stat.S_ISSOCK(socket.stat().st_mode)
        print("ok")
    """)
    check(done, place)


def test_an_engine_that_listens_elsewhere_is_refused(program: Run, place: Path) -> None:
    done = program("""
        import xllamacpp
        from modelhub.errors import LoadFailed
        Server = xllamacpp.Server

        def public(params):
            params.hostnames = ["127.0.0.1"]
            return Server(params)

        xllamacpp.Server = public
        try:
            load()
        except LoadFailed as error:
            assert "127.0.0.1" in error.message, error
            assert threading.active_count() == 1
            print("ok")
    """)
    check(done, place)


def test_a_long_temporary_folder(program: Run, place: Path) -> None:
    deep = place / ("long-name-" * 9)
    deep.mkdir()
    done = program(f"""
        import tempfile
        tempfile.tempdir = {str(deep)!r}
        before = set(Path("/tmp").glob("modelhub-*"))
        instance = load()
        assert works(instance)
        (folder,) = set(Path("/tmp").glob("modelhub-*")) - before
        instance.close()
        assert not folder.exists()
        print("ok")
    """)
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("ok", "", 0)


@both
class TestTheEndOfTheProgram:
    @pytest.mark.parametrize(
        "leave",
        [
            pytest.param("", id="nothing closed"),
            pytest.param(
                "stream = instance.stream(endless, Call()); next(stream)", id="stream half read"
            ),
            pytest.param("instance.me = instance", id="a cycle"),
            pytest.param("import builtins; builtins.kept = instance", id="never collected"),
            pytest.param("assert works(instance)", id="after use"),
            pytest.param("instance.close()", id="closed"),
        ],
    )
    def test_is_quick_and_quiet(self, program: Run, place: Path, leave: str) -> None:
        check(program(f"instance = load()\n{leave}\nprint('ok')"), place)

    def test_a_thread_that_reads_on_may_finish(self, program: Run, place: Path) -> None:
        done = program("""
            instance = load()

            def read():
                request = chat_request("Hi", temperature=0, max_tokens=150)
                text = "".join(chunk.text for chunk in instance.stream(request, Call()))
                print("ok" if len(text) == 150 else len(text))

            threading.Thread(target=read).start()
        """)
        check(done, place)

    @pytest.mark.parametrize("closed", ["instance.close()", "pass"])
    def test_does_not_wait_for_a_stuck_engine(self, program: Run, engine: str, closed: str) -> None:
        done = program(f"""
            from modelhub.runtimes import llama_server, serial, turn
            serial.PATIENCE = turn.PATIENCE = 0.5
            instance, entered = load(), threading.Event()
            hang = lambda *_: (entered.set(), time.sleep(1000))
            instance._engine.decode = llama_server.instance.read_piece = hang
            threading.Thread(target=lambda: works(instance), daemon=True).start()
            assert entered.wait(20)
            {closed}; print("ok")
        """)
        assert (done.stdout.strip(), done.returncode) == ("ok", 0), done.stderr

    def test_a_forked_child_leaves_the_engine_alone(self, program: Run, place: Path) -> None:
        done = program("""
            import multiprocessing

            def child(instance):
                instance.close()
                del instance
                gc.collect()
                os._exit(7)

            instance = load()
            forked = multiprocessing.get_context("fork").Process(target=child, args=(instance,))
            forked.start()
            forked.join(20)
            assert forked.exitcode == 7, forked.exitcode
            assert works(instance)
            print("ok")
        """)
        check(done, place)

    @pytest.mark.skipif(
        sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "on_exit"), reason="needs glibc"
    )
    @pytest.mark.parametrize(
        ("end", "code", "said"),
        [
            pytest.param("sys.exit(3)", 3, "", id="sys.exit"),
            pytest.param("sys.exit()", 0, "", id="success"),
            pytest.param("print('from the child', end=''); sys.exit()", 0, "from the child", id="print"),
            pytest.param("instance.close(); sys.exit(4)", 4, "", id="closed"),
            pytest.param("write(b'from C'); sys.exit()", 0, "from C", id="C's own buffers"),
            pytest.param("atexit.register(print, 'last'); sys.exit(5)", 5, "last\n", id="atexit"),
        ],
    )
    def test_a_forked_child_may_end_as_it_likes(
        self, program: Run, place: Path, end: str, code: int, said: str
    ) -> None:
        done = program(f"""
            import atexit, ctypes

            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
            libc = ctypes.CDLL(None)
            libc.fopen.restype = ctypes.c_void_p

            def write(text):
                libc.fputs(text, ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w")))

            instance = load()
            if not (child := os.fork()):
                signal.alarm(20)  # a child that hangs ends too, and otherwise than expected
                {end}
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == {code}, status
            assert works(instance)
            print("ok")
        """)
        assert (done.stdout, done.stderr, done.returncode) == (f"{said}ok\n", "", 0)
        assert list(place.iterdir()) == []


class TestWhatKilledProgramsLeft:
    def test_is_removed_by_the_next_load(self, program: Run, place: Path) -> None:
        done = program("instance = load(); os.kill(os.getpid(), signal.SIGKILL)")
        assert done.returncode == -signal.SIGKILL
        (left,) = place.iterdir()
        assert {file.name for file in left.iterdir()} == {"engine.lock", "engine.sock"}
        check(program("load(); print('ok')"), place)

    def test_a_living_program_keeps_its_folder(self, program: Run, place: Path) -> None:
        done = program("""
            import subprocess
            from modelhub.runtimes.llama_server.folder import sweep

            instance = load()
            parent = Path(os.environ["TMPDIR"])
            code = "import sys; from pathlib import Path; "
            code += "from modelhub.runtimes.llama_server.folder import sweep; "
            code += "sys.exit(sweep(Path(sys.argv[1])))"
            assert subprocess.run([sys.executable, "-c", code, str(parent)]).returncode == 0
            assert sweep(parent) == 0
            assert len(list(parent.iterdir())) == 1
            assert works(instance)
            print("ok")
        """)
        check(done, place)


def test_loading_and_unloading_many_times(program: Run, place: Path) -> None:
    done = program("""
        for round in range(30):
            instance = load()
            if round % 2:
                stream = instance.stream(endless, Call())
                next(stream)
            instance.close()
        assert threading.active_count() == 1
        print("ok")
    """)
    check(done, place)
