"""Adapters by hand: configurations of PEFT, and headers with the tensors of a LoRA."""

import json
from pathlib import Path

from modelhub.formats import RangeReader, SafetensorsHeader, read_safetensors
from tests.formats.build import safetensors

CONFIG = {
    "base_model_name_or_path": "zoo/base",
    "peft_type": "LORA",
    "r": 8,
    "lora_alpha": 16,
    "target_modules": ["v_proj", "q_proj"],
    "task_type": "CAUSAL_LM",
}


def lora_bytes(
    names=("base_model.model.q.lora_A.weight", "base_model.model.q.lora_B.weight"),
    *,
    rank=8,
    dtype="F16",
    metadata=None,
) -> bytes:
    """A file of matrices of one rank, those that come first with as many rows."""
    size = {"F32": 4, "F16": 2, "BF16": 2}[dtype]
    entries, at = {"__metadata__": metadata} if metadata else {}, 0
    for name in names:
        down = any(mark in name for mark in ("lora_A", "down", "lokr", "hada"))
        shape = [] if name.endswith("alpha") else [rank, 16] if down else [16, rank]
        count = 1 if not shape else 16 * rank
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + count * size]}
        at += count * size
    return safetensors(json.dumps(entries).encode(), at)


def lora(*args, **kwargs) -> SafetensorsHeader:
    return read_safetensors(RangeReader.from_bytes(lora_bytes(*args, **kwargs)))


def peft(folder: str = "", **changes) -> dict[str, object]:
    """The files of an adapter as PEFT writes them."""
    start = f"{folder}/" if folder else ""
    return {
        f"{start}adapter_config.json": CONFIG | changes,
        f"{start}adapter_model.safetensors": lora(),
    }


def build_adapter(folder: Path) -> Path:
    """An adapter for the zoo's chat model, under the name that the documentation has for that one."""
    folder.mkdir(parents=True, exist_ok=True)
    config = CONFIG | {"base_model_name_or_path": "HuggingFaceTB/SmolLM2-135M-Instruct"}
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n", encoding="utf-8")
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "adapter_model.safetensors").write_bytes(lora_bytes())
    return folder
