"""What transformers is not given: damaged weights, pickles, other files than were checked, strangers' code."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelhub.errors import FormatError, LoadFailed, RemoteCodeRefused
from modelhub.facts import Call
from modelhub.runtimes import Bundle, find_device
from modelhub.runtimes.testing import Subject, folder_bundle
from modelhub.runtimes.transformers import TransformersRuntime
from modelhub.tasks import chat_request
from tests.runtimes.torch_folders import CHAT, change, copy, subject
from tests.zoo.repos import chat_answers

torch = pytest.importorskip("torch", reason="no PyTorch for this Python")


def test_damaged_weights_never_reach_the_library(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[:8] = (1 << 40).to_bytes(8, "little")
    weights.write_bytes(data)
    with pytest.raises(LoadFailed, match=r"^model\.safetensors: ") as caught:
        subject(folder).load()
    assert isinstance(caught.value.__cause__, FormatError)


def test_a_model_that_lacks_weights_is_none(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    change(folder / "config.json", num_hidden_layers=3)
    with pytest.raises(LoadFailed, match=r"missing keys model\.layers\.2"):
        subject(folder).load()


def test_weights_of_another_shape(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    change(folder / "config.json", intermediate_size=256)
    with pytest.raises(LoadFailed) as caught:
        subject(folder).load()
    assert caught.value.__cause__ is not None or "mismatched" in caught.value.message


@pytest.mark.parametrize(
    ("name", "content"),
    [("config.json", b"{"), ("config.json", b"[]"), ("tokenizer.json", b"{}"), ("config.json", b"{}")],
)
def test_damaged_configurations(tmp_path: Path, name: str, content: bytes) -> None:
    folder = copy(tmp_path)
    (folder / name).write_bytes(content)
    with pytest.raises(LoadFailed):
        subject(folder).load()


def in_shards(folder: Path) -> Path:
    """The zoo's chat model in two shards; gives the index."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    (folder / "model.safetensors").unlink()
    where = {}
    for number, some in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in some}, folder / file, {"format": "pt"})
        where |= dict.fromkeys(some, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return index


def answers(subject: Subject, host: str = "thread") -> bool:
    """Whether it gives the right answer."""
    case, instance = chat_answers()[0], subject.load(host)
    said = str(instance.infer(chat_request(case.messages, temperature=0), Call()))
    instance.close()
    return said == case.answer


def test_shards(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    in_shards(folder)
    assert answers(subject(folder))


def test_a_missing_shard(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    in_shards(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(LoadFailed, match=r"names model-00002-of-00002\.safetensors, which is not"):
        subject(folder).load()


def test_a_damaged_shard(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    in_shards(folder)
    shard = folder / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(LoadFailed, match=r"^model-00002-of-00002\.safetensors: "):
        subject(folder).load()


@pytest.mark.parametrize("index", [b"{", b"[]", b'{"weight_map": {"a": "../../model.safetensors"}}'])
def test_a_damaged_index(tmp_path: Path, index: bytes) -> None:
    folder = copy(tmp_path)
    in_shards(folder).write_bytes(index)
    with pytest.raises(LoadFailed, match=r"model\.safetensors\.index\.json"):
        subject(folder).load()


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    folder, exploded = copy(tmp_path), tmp_path / "exploded"
    torch.save({"model.embed_tokens.weight": Bomb(exploded)}, folder / "pytorch_model.bin")
    subject(folder).load().close()
    (folder / "model.safetensors").unlink()
    with pytest.raises(LoadFailed, match=r"no \.safetensors file"):
        subject(folder).load()
    weights = folder / "model.safetensors"
    shutil.copy(folder / "pytorch_model.bin", weights)
    with pytest.raises(LoadFailed):
        subject(folder).load()
    assert not exploded.exists()


def test_an_index_that_names_a_pickle(tmp_path: Path) -> None:
    folder, exploded = copy(tmp_path), tmp_path / "exploded"
    index = in_shards(folder)
    named = json.loads(index.read_text())["weight_map"]
    torch.save({"model.embed_tokens.weight": Bomb(exploded)}, folder / "more.bin")
    index.write_text(json.dumps({"weight_map": named | {"model.norm.weight": "more.bin"}}))
    with pytest.raises(LoadFailed, match=r"names more\.bin, which is not"):
        subject(folder).load()
    assert not exploded.exists()


def test_an_adapter_beside_the_weights(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "other/model"}')
    with pytest.raises(LoadFailed, match=r"adapter_config\.json lies beside"):
        subject(folder).load()


@pytest.mark.parametrize(
    "fields",
    [
        {"transformers_weights": "adapter_model.bin"},
        {"_attn_implementation": "other/kernel"},
        {"attn_implementation": "other/kernel"},
        {"_experts_implementation": "other/kernel"},
    ],
)
def test_a_configuration_leads_to_nothing_that_was_not_checked(
    tmp_path: Path, fields: dict[str, str]
) -> None:
    folder = copy(tmp_path)
    change(folder / "config.json", **fields)
    assert answers(subject(folder))


def test_packed_weights(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    change(folder / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(LoadFailed, match=r"packed \(gptq\)"):
        subject(folder).load()
    bundle = folder_bundle(folder, "text-generation", "safetensors")
    model = bundle.model.model_copy(update={"details": {"quantization": "gptq"}})
    support = TransformersRuntime().supports(model, bundle.variant, find_device("cpu"))
    assert "packed (gptq)" in support.reason


# Code of a repository's own

CODE = """
from pathlib import Path
from .own_part import Base

Path({canary!r}).touch()

class OwnModel(Base):
    pass
"""
PART = "from transformers import LlamaForCausalLM as Base"


@pytest.fixture
def with_code(tmp_path: Path) -> tuple[Path, Path]:
    """A repository whose configuration names code of its own, and the file that this code makes."""
    folder, canary = copy(tmp_path), tmp_path / "ran"
    (folder / "own_model.py").write_text(CODE.format(canary=str(canary)))
    (folder / "own_part.py").write_text(PART)
    change(folder / "config.json", auto_map={"AutoModelForCausalLM": "own_model.OwnModel"})
    return folder, canary


def test_code_that_nobody_allowed_is_refused(with_code: tuple[Path, Path]) -> None:
    folder, canary = with_code
    with pytest.raises(RemoteCodeRefused, match=r"own_model\.OwnModel") as caught:
        subject(folder).load()
    assert "modelhub allow-code tests/chat" in caught.value.hint
    assert not canary.exists()


def test_code_in_the_tokenizers_configuration_too(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tok.Slow", None]})
    with pytest.raises(RemoteCodeRefused, match=r"tok\.Slow"):
        subject(folder).load()


def allowed(folder: Path) -> Subject:
    bundle = folder_bundle(folder, "text-generation", "safetensors")
    return Subject(
        TransformersRuntime(), Bundle(bundle.model, bundle.variant, bundle.roots, code_allowed=True)
    )


def test_code_that_was_allowed_runs_from_a_folder_of_its_own(with_code: tuple[Path, Path]) -> None:
    folder, canary = with_code
    assert answers(allowed(folder), "process")
    assert canary.exists()
    from transformers import dynamic_module_utils

    cache = Path(dynamic_module_utils.HF_MODULES_CACHE)
    assert not list(cache.rglob("own_model.py")) if cache.exists() else True


def test_code_of_another_repository_cannot_be_allowed(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    change(folder / "config.json", auto_map={"AutoModelForCausalLM": "other/repo--own.Model"})
    with pytest.raises(RemoteCodeRefused, match="another repository"):
        allowed(folder).load()


def test_nor_that_of_a_part_of_the_model(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    part = {"auto_map": {"AutoModel": "other/repo--own.Model"}}
    change(folder / "config.json", text_config=part)
    with pytest.raises(RemoteCodeRefused, match="another repository"):
        allowed(folder).load()


IN_A_PROCESS = """
import sys
from pathlib import Path
from tests.runtimes.test_transformers_files import allowed, answers, subject

def no_network(event, args):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        raise RuntimeError(f"{event} {args}")

sys.addaudithook(no_network)
assert answers(subject())
for folder in map(Path, sys.argv[1:]):
    assert answers(allowed(folder))
"""


def test_it_speaks_to_no_network_and_loads_allowed_code_of_several(
    with_code: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, _ = with_code
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "own_part.py").write_text(PART + "  # another")
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS, folder, other],
        capture_output=True,
        text=True,
        check=False,
        cwd=CHAT.parents[2],
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
