"""A pulled folder before the library opens it: sound headers, no pickles, no code that nobody allowed."""

import json
from pathlib import Path
from typing import Any

from modelhub.errors import LoadFailed, RemoteCodeRefused
from modelhub.formats import RangeReader, read_safetensors
from modelhub.runtimes.base import Bundle

_CONFIGS = ("config.json", "tokenizer_config.json", "processor_config.json", "generation_config.json")
_MAX_CONFIG = 16 << 20


def model_folder(bundle: Bundle) -> Path:
    """The folder that `from_pretrained` opens."""
    return bundle.components["model"]


def check_weights(bundle: Bundle) -> tuple[Path, ...]:
    """The variant's safetensors files, with sound headers.

    Raises:
        LoadFailed: when there is none.
        FormatError: for a header that is damaged or lies.
    """
    files = [path for path in bundle.files("model") if path.suffix == ".safetensors"]
    if not files:
        raise LoadFailed(f"the variant {bundle.variant.name!r} holds no .safetensors file")
    for path in files:
        read_safetensors(RangeReader.from_path(path))
    return tuple(files)


def variant_of(files: tuple[Path, ...]) -> str | None:
    """What stands in `model.VARIANT.safetensors`, which the library has to be told."""
    parts = files[0].name.removesuffix(".safetensors").split(".")
    return parts[1].partition("-")[0] if len(parts) > 1 and parts[0] == "model" else None


def check_code(bundle: Bundle) -> None:
    """Refuse a repository that wants to run Python code of its own, unless the user allowed it.

    Raises:
        RemoteCodeRefused
    """
    for name in _CONFIGS:
        named = _auto_map(model_folder(bundle) / name)
        elsewhere = [text for text in named if "--" in text]
        if elsewhere:
            raise RemoteCodeRefused(
                f"{name} asks to run Python code of another repository: {', '.join(elsewhere)}",
                hint="There is no allowing that: it may change without this repository changing.",
                file=name,
            )
        if named and not bundle.code_allowed:
            repo = bundle.variant.components[0].repo
            raise RemoteCodeRefused(
                f"{name} of {repo} asks to run Python code of its own: {', '.join(named)}",
                hint=f"Read that code; then allow it for this commit: modelhub allow-code {repo}",
                file=name,
            )


def _auto_map(path: Path) -> list[str]:
    """The `module.Class` texts of a configuration's `auto_map`."""
    if not path.is_file():
        return []
    if path.stat().st_size > _MAX_CONFIG:
        raise LoadFailed(f"{path.name} is larger than {_MAX_CONFIG >> 20} MiB")
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise LoadFailed(f"{path.name} is not JSON: {error}") from error
    return list(_texts(config.get("auto_map"))) if isinstance(config, dict) else []


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in inner for text in _texts(item)]
