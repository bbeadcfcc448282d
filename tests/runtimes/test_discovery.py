import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import Distribution, EntryPoint, distribution
from pathlib import Path

import pytest

from modelhub.errors import RuntimeBroken, RuntimeConflict, RuntimeNotFound
from modelhub.facts.plugin import PluginEntry
from modelhub.runtimes import Runtimes
from modelhub.runtimes.discovery import GROUP
from modelhub.runtimes.echo import EchoRuntime

ECHO = "modelhub.runtimes.echo:EchoRuntime"


class FakeDistribution(Distribution):
    def __init__(self, name: str, version: str) -> None:
        self._text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        return Path(str(path))


def point(name: str, value: str, dist: str = "some-plugin", version: str = "1.0") -> EntryPoint:
    made = EntryPoint(name, value, GROUP)
    vars(made)["dist"] = FakeDistribution(dist, version)
    return made


def of(*points: EntryPoint) -> Runtimes:
    return Runtimes(lambda: points)


class Mute(EchoRuntime):
    name = "mute"
    requires = ("no_such_engine", "nor_this")
    install = "pip install mute"


class OldContract(EchoRuntime):
    name = "old"
    api_version = 0


class NoTasks(EchoRuntime):
    name = "idle"
    tasks = "text-generation"  # type: ignore[assignment]


class Needy(EchoRuntime):
    name = "needy"

    def __init__(self, key: str) -> None:
        self.key = key


class Raising(EchoRuntime):
    name = "raising"

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        raise OSError("no such library")


class Leaving(EchoRuntime):
    name = "leaving"

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        raise SystemExit("goodbye")


class Nameless(EchoRuntime):
    name = "nameless"

    def version(self) -> str:
        raise ImportError("libfoo.so.1: cannot open shared object file")


class Absent(Nameless):
    requires = ("no_such_engine",)


class Shy(EchoRuntime):
    name = "shy"

    @property
    def formats(self) -> tuple[str, ...]:  # type: ignore[override]
        raise RuntimeError("not now")


class OddInstall(EchoRuntime):
    name = "unsold"
    install = None  # type: ignore[assignment]


class OddPriority(EchoRuntime):
    name = "odd"
    priority = "high"  # type: ignore[assignment]


not_a_runtime = {"name": "thing"}


def bad(name: str) -> str:
    return f"{__name__}:{name}"


def test_the_built_in_runtimes_are_found() -> None:
    names = {entry.name: entry for entry in Runtimes().installed()}
    assert {"echo", "llama_server"} <= set(names)
    assert names["echo"].distribution == "modelhub"
    assert names["echo"].version == distribution("modelhub").version
    assert names["echo"].value == ECHO


def test_listing_imports_nothing() -> None:
    code = (
        "import sys; from modelhub.runtimes import Runtimes; Runtimes().installed(); "
        "print([name for name in sys.modules if name.startswith('modelhub.runtimes.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "discovery" in done.stdout
    assert "echo" not in done.stdout
    assert "llama_server" not in done.stdout


def test_views_import_no_engine() -> None:
    code = "import sys; from modelhub.runtimes import Runtimes; Runtimes().views(); print('xllamacpp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_metadata_is_read_once_and_a_runtime_is_made_once() -> None:
    asked = []

    def find() -> list[EntryPoint]:
        asked.append(1)
        return [point("echo", ECHO)]

    runtimes = Runtimes(find)
    assert runtimes.load("echo") is runtimes.load("echo")
    assert runtimes.installed() == (PluginEntry("echo", ECHO, "some-plugin", "1.0"),)
    runtimes.views()
    assert len(asked) == 1


def test_an_unknown_name_lists_those_that_exist_nearest_first() -> None:
    runtimes = of(point("transformers", ECHO), point("llama_server", ECHO), point("echo", ECHO))
    with pytest.raises(RuntimeNotFound) as caught:
        runtimes.load("llama-serve")
    assert caught.value.hint == "Installed are: llama_server, transformers, echo."
    with pytest.raises(RuntimeNotFound, match="No runtime is installed"):
        of().load("echo")


def test_two_distributions_with_one_name() -> None:
    runtimes = of(
        point("echo", ECHO, "one", "1.0"), point("echo", ECHO, "two", "2.0"), point("mute", bad("Mute"))
    )
    assert [(entry.name, entry.distribution) for entry in runtimes.installed()] == [
        ("echo", "one"),
        ("echo", "two"),
        ("mute", "some-plugin"),
    ]
    with pytest.raises(RuntimeConflict, match=r"one 1\.0 and two 2\.0") as caught:
        runtimes.load("echo")
    assert "pip uninstall one or pip uninstall two" in caught.value.hint
    assert runtimes.load("mute").name == "mute"
    view = next(view for view in runtimes.views() if view.name == "echo")
    assert (view.usable, view.tasks, view.install) == (
        False,
        (),
        "pip uninstall one or pip uninstall two",
    )
    assert "one 1.0 and two 2.0" in view.reason


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("gone", "no_such_module:Runtime", "ModuleNotFoundError"),
        ("gone", bad("NoSuchClass"), "AttributeError"),
        ("needy", bad("Needy"), "TypeError"),
        ("thing", bad("not_a_runtime"), "not a subclass"),
        ("old", bad("OldContract"), "api_version 0"),
        ("idle", bad("NoTasks"), "'tasks'"),
        ("alias", bad("Mute"), "calls itself 'mute'"),
    ],
)
def test_a_broken_plugin_breaks_only_its_own_use(name: str, value: str, says: str) -> None:
    runtimes = of(point(name, value, "poor-plugin", "0.1"), point("echo", ECHO))
    with pytest.raises(RuntimeBroken, match=says) as caught:
        runtimes.load(name)
    assert "poor-plugin 0.1" in caught.value.message
    assert "pip uninstall poor-plugin" in caught.value.hint
    assert (caught.value.__cause__ is not None) == ("Error" in says)
    assert runtimes.load("echo").name == "echo"
    broken, echo = sorted(runtimes.views(), key=lambda view: view.usable)
    assert (broken.name, broken.usable, echo.usable) == (name, False, True)
    assert says.rsplit(maxsplit=1)[-1] in broken.reason


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("raising", bad("Raising"), "OSError: no such library"),
        ("odd", bad("OddPriority"), "has no int as 'priority', but 'high'"),
        ("unsold", bad("OddInstall"), "has no str as 'install', but None"),
        ("leaving", bad("Leaving"), "cannot be described: SystemExit: goodbye"),
        ("nameless", bad("Nameless"), "cannot be described: ImportError: libfoo.so.1"),
        ("shy", bad("Shy"), "cannot be described: RuntimeError: not now"),
    ],
)
def test_a_plugin_that_cannot_be_described_hides_no_other(name: str, value: str, says: str) -> None:
    runtimes = of(point(name, value, "poor-plugin", "0.1"), point("echo", ECHO))
    broken, echo = sorted(runtimes.views(), key=lambda view: view.usable)
    assert (broken.name, broken.usable, broken.tasks, echo.usable) == (name, False, (), True)
    assert "poor-plugin 0.1" in broken.reason
    assert says in broken.reason
    assert broken.install == "pip install --upgrade poor-plugin"


class Counting(EchoRuntime):
    name = "counting"
    asked = 0

    def version(self) -> str:
        type(self).asked += 1
        return "1"


def test_views_ask_for_a_version_once() -> None:
    runtimes = of(point("counting", f"{__name__}:Counting"))
    assert runtimes.views() == runtimes.views()
    assert Counting.asked == 1


def test_a_version_is_not_asked_of_what_is_not_installed() -> None:
    (view,) = of(point("nameless", bad("Absent"))).views()
    assert view.reason == "needs no_such_engine, which is not installed"


@pytest.mark.parametrize(
    ("module", "installed"),
    [
        ("json", True),
        ("json.tool", True),
        ("os.path", True),
        ("sys", True),
        ("xml.etree.ElementTree", True),
        ("no_such_package.sub", False),
        ("json.no_such_module", False),
        ("this.is_no_package", False),
        ("halted", True),
        ("halted.sub", True),
        ("halted.deep.er", True),
        ("halted.deep.est", False),
        ("stopped", False),
    ],
)
def test_a_required_module_is_looked_for_and_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, installed: bool
) -> None:
    (tmp_path / "halted" / "deep").mkdir(parents=True)
    (tmp_path / "halted" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "halted" / "sub.py").touch()
    (tmp_path / "halted" / "deep" / "er.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "stopped", None)

    class Wanting(EchoRuntime):
        requires = (module,)

    assert Wanting.missing() == (() if installed else (module,))


def test_a_runtime_whose_engine_is_not_installed() -> None:
    (view,) = of(point("mute", bad("Mute"))).views()
    assert not view.usable
    assert view.reason == "needs no_such_engine, nor_this, which is not installed"
    assert view.install == "pip install mute"
    assert view.tasks == ("text-generation",)
    assert view.explicit


PLUGIN = """
import sys
from modelhub.runtimes.echo import EchoRuntime

{body}

class Shout(EchoRuntime):
    name = "shout"
    explicit = False
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a distribution on the path, as pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(dist: str, body: str) -> None:
        module = dist.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(PLUGIN.format(body=body))
        info = tmp_path / f"{module}-2.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 2.1\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\nshout = {module}:Shout\n")

    return put


def test_a_plugin_that_is_installed_for_real(install: Callable[[str, str], None]) -> None:
    install("runtime-shout", "")
    runtimes = Runtimes()
    assert PluginEntry("shout", "runtime_shout:Shout", "runtime-shout", "2.1") in runtimes.installed()
    assert "runtime_shout" not in sys.modules
    assert runtimes.load("shout").name == "shout"
    view = next(view for view in runtimes.views() if view.name == "shout")
    assert view.usable
    assert not view.explicit


def test_plugins_that_clash_or_leave_for_real(install: Callable[[str, str], None]) -> None:
    install("runtime-leaver", "sys.exit('goodbye')")
    with pytest.raises(RuntimeBroken, match="SystemExit: goodbye") as caught:
        Runtimes().load("shout")
    assert isinstance(caught.value.__cause__, SystemExit)
    install("runtime-other", "")
    with pytest.raises(RuntimeConflict, match=r"runtime-leaver 2\.1 and runtime-other 2\.1"):
        Runtimes().load("shout")
    assert Runtimes().load("echo").name == "echo"
