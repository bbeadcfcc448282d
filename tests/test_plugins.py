"""What the example plugins give to a Hub, installed for real: `python -m nox -s plugins`."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
PLUGINS = sorted(folder.name for folder in EXAMPLES.glob("modelhub-*"))
MISSING = [name for name in PLUGINS if find_spec(name.replace("-", "_")) is None]

if MISSING:
    pytest.skip(
        f"{', '.join(MISSING)} not installed; `python -m nox -s plugins` runs this with them",
        allow_module_level=True,
    )

REPOSITORY = Path(__file__).parent / "zoo" / "chat-gguf"
WEIGHTS = "zoo-chat-q4_k_m.gguf"
REF = "mirror://zoo/tiny-chat-GGUF"
HASH = "find * -type f ! -name SHA256SUMS -exec sha256sum {} + > SHA256SUMS"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The repository on a mirror, with the list that the system's own program makes of it."""
    monkeypatch.setenv("MODEL_MIRROR", str(tmp_path / "mirror"))
    copy = shutil.copytree(REPOSITORY, tmp_path / "mirror" / "zoo" / "tiny-chat-GGUF")
    subprocess.run(["bash", "-c", HASH], cwd=copy, check=True)
    return copy


@pytest.fixture
def modelhub(tmp_path):
    """Runs a command of an offline modelhub in another process; gives its status and what it said."""

    def run(*arguments):
        command = [sys.executable, "-W", "error", "-m", "modelhub", "--home", str(tmp_path / "home")]
        done = subprocess.run(
            [*command, "--offline", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_every_example_is_announced():
    from modelhub.registry.introspect import find_introspectors
    from modelhub.runtimes import Runtimes
    from modelhub.sources import Sources

    sources = {source.distribution for source in Sources().installed()}
    views = {view.name for view in Runtimes().views()}
    families = {entry.name for entry in find_introspectors().installed()}
    for name in PLUGINS:
        _, kind, own = name.split("-", 2)
        known = {"source": name in sources, "runtime": own in views, "introspector": own in families}
        assert known[kind], name


def test_doctor_lists_the_runtime(modelhub):
    _, out, _ = modelhub("doctor", "--json")
    views = {view["name"]: view for view in json.loads(out)["runtimes"]}
    assert views["shout"]["usable"]
    assert views["shout"]["explicit"]


def test_an_unknown_source_is_answered_with_those_there_are(modelhub):
    status, _, err = modelhub("inspect", "miror://zoo/tiny-chat-GGUF")
    assert status == 1
    assert "Installed are: mirror," in err


def test_a_mirror_is_pulled_from_without_a_socket(modelhub, folder):
    status, out, err = modelhub("pull", REF, "--json")
    assert status == 0, err
    pulled = json.loads(out)
    assert (Path(pulled["path"]) / WEIGHTS).read_bytes() == (REPOSITORY / WEIGHTS).read_bytes()
    assert pulled["commit"] == sha256sum(folder / "SHA256SUMS")
    assert REF in modelhub("ls")[1]
    shutil.rmtree(folder)
    status, out, err = modelhub("pull", REF, "--json")
    assert (status, json.loads(out)["fetched_bytes"]) == (0, 0), err


def test_other_bytes_than_the_list_says_are_refused(modelhub, folder):
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    status, out, err = modelhub("pull", REF)
    assert (status, out) == (1, "")
    assert "its sha256 should be" in err


@pytest.mark.parametrize("host", ["thread", "process"])
def test_the_runtime_answers(modelhub, monkeypatch, host):
    monkeypatch.setenv("MODELHUB_HOST", host)
    status, out, err = modelhub("chat", REF, "good morning", "--runtime", "shout", "--json")
    assert status == 0, err
    reply = json.loads(out)
    assert reply["text"] == "GOOD MORNING"
    assert reply["provenance"]["runtime"] == "shout"


def test_the_introspector_knows_a_pipeline(modelhub, tmp_path):
    meta = {"lang": "en", "name": "core_web_sm", "pipeline": ["tok2vec", "ner"]}
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "meta.json").write_text(json.dumps(meta))
    (tmp_path / "pipeline" / "config.cfg").write_text("[nlp]\n")
    status, out, err = modelhub("inspect", tmp_path / "pipeline", "--json")
    assert status == 0, err
    report = json.loads(out)
    (model,) = report["models"]
    assert (model["task"], model["details"]["language"]) == ("token-classification", "en")
    assert not {warning["code"] for warning in report["warnings"]} & {"family.broken", "family.unknown"}
    doctor = json.loads(modelhub("doctor", "--json")[1])
    texts = {each["subject"]: each["text"] for each in doctor["findings"]}
    assert "spacy of modelhub-introspector-spacy" in texts["introspectors"]


def sha256sum(path):
    done = subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True)
    return done.stdout.split()[0]
