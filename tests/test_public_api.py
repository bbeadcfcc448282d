"""What `import modelhub` gives, and what it costs."""

import importlib.metadata
import json
import subprocess
import sys

import pytest

import modelhub
from modelhub import ModelHubError, ModelRef

NAMES = ["Hub", "ModelHubError", "ModelRef", "__version__"]

HEAVY = {
    "alembic",
    "diffusers",
    "fsspec",
    "gguf",
    "httpx2",
    "huggingface_hub",
    "llama_cpp",
    "numpy",
    "onnxruntime",
    "platformdirs",
    "psycopg",
    "pydantic",
    "rich",
    "safetensors",
    "sqlalchemy",
    "starlette",
    "tenacity",
    "tokenizers",
    "torch",
    "transformers",
    "typer",
    "xllamacpp",
}


def fresh(code: str) -> object:
    """What `code` leaves in `result`, in a Python of its own."""
    command = [sys.executable, "-W", "error", "-c", f"{code}\nimport json\nprint(json.dumps(result))"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def top_level(code: str) -> set[str]:
    """The top-level packages that are loaded after `code` and are not after nothing."""
    listing = "import sys\nresult = sorted({name.partition('.')[0] for name in sys.modules})"
    loaded = fresh(f"{code}\n{listing}")
    assert isinstance(loaded, list)
    return set(loaded)


def test_names_are_pinned():
    assert modelhub.__all__ == NAMES
    assert dir(modelhub) == NAMES


def test_every_name_is_there():
    for name in NAMES:
        assert getattr(modelhub, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        modelhub.nope  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nope'"):
        from modelhub import nope  # noqa: F401


def test_version_is_the_distributions():
    assert modelhub.__version__ == importlib.metadata.version("modelhub")


def test_root_names_are_the_rooms_own():
    from modelhub.errors import ModelHubError as Root
    from modelhub.hub import Hub
    from modelhub.refs import ModelRef as Ref

    assert (modelhub.Hub, ModelHubError, ModelRef) == (Hub, Root, Ref)


def test_import_loads_nothing_heavy():
    assert top_level("import modelhub; modelhub.ModelRef.parse('a/b')") & HEAVY == set()


def test_the_same_check_sees_what_is_heavy():
    assert {"pydantic", "sqlalchemy"} <= top_level("import modelhub; modelhub.Hub") & HEAVY


def test_listing_runtimes_loads_no_engine():
    loaded = top_level("from modelhub.runtimes import Runtimes; Runtimes().views()")
    assert loaded & {"xllamacpp", "llama_cpp", "torch", "transformers", "onnxruntime", "numpy"} == set()


def test_import_touches_no_logging_thread_or_environment():
    before_and_after = fresh(
        "import logging, os, threading\n"
        "before = dict(os.environ)\n"
        "import modelhub.hub\n"
        "loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]\n"
        "mine = [one for one in loggers if one.name in ('root', 'modelhub') or one.name.startswith('modelhub.')]\n"
        "handlers = sum(len(one.handlers) for one in mine)\n"
        "result = [handlers, threading.active_count(), dict(os.environ) == before, len(mine) > 1]"
    )
    assert before_and_after == [0, 1, True, True]
