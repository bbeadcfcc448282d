"""A pulled folder before the library opens it: sound headers, no other files, no code that nobody allowed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelhub.errors import FormatError, LoadFailed, RemoteCodeRefused, UnsafePath
from modelhub.formats import RangeReader, read_index, read_safetensors
from modelhub.runtimes.base import Bundle

_CONFIGS = ("config.json", "tokenizer_config.json", "processor_config.json", "generation_config.json")
_MAX_CONFIG = 16 << 20
_MAX_INDEX = 64 << 20

_ASIDE = ("adapter_config.json", "shard-*-model-*-of-*.safetensors")
"""What the library loads besides, or instead of, the variant's files where it finds it: adapters
(`integrations/peft.py: maybe_load_adapters`), which may be pickles, and distributed checkpoints
(`distributed/checkpoint.py: is_sharded_checkpoint`).
"""


def model_folder(bundle: Bundle) -> Path:
    """The folder that `from_pretrained` opens."""
    return bundle.components["model"]


def check_weights(bundle: Bundle) -> tuple[Path, ...]:
    """The model's own safetensors files, with sound headers, and nothing else that would be loaded; of a
    variant that has none, its pickles.

    Raises:
        LoadFailed: when there are none; when the index of the shards names another file; when the
            folder holds weights that the variant does not; for a header that is damaged or lies.
    """
    folder = model_folder(bundle)
    ours = [path for path in bundle.files("model") if path.parent == folder]
    files = tuple(path for path in ours if path.suffix == ".safetensors")
    if not files and bundle.variant.format == "pytorch":
        files = tuple(path for path in ours if path.suffix == ".bin")
    if not files:
        raise LoadFailed(f"the variant {bundle.variant.name!r} holds no .safetensors file")
    for found in (path for pattern in _ASIDE for path in sorted(folder.glob(pattern))):
        raise LoadFailed(
            f"{found.name} lies beside the weights, and transformers would load it too",
            hint="Adapters and distributed checkpoints are not supported.",
        )
    for path in files:
        if path.suffix == ".safetensors":
            check_header(path)
    for path in ours:
        if f"{files[0].suffix}.index" in path.name:
            _check_index(path, {file.name for file in files})
    return files


def check_header(path: Path) -> None:
    """See that native code may read a safetensors file.

    Raises:
        LoadFailed: with the `FormatError` as its cause.
    """
    try:
        read_safetensors(RangeReader.from_path(path))
    except FormatError as error:
        raise LoadFailed(error.message, hint=error.hint, file=path.name) from error


def _check_index(path: Path, known: set[str]) -> None:
    """An index could name a pickle, which would be loaded as one, or a file of somebody else's."""
    if path.stat().st_size > _MAX_INDEX:
        raise LoadFailed(f"{path.name} is larger than {_MAX_INDEX >> 20} MiB", file=path.name)
    try:
        named = set(read_index(path.read_bytes(), name=path.name).values())
    except (FormatError, UnsafePath) as error:
        problem = error.message.removeprefix(f"{path.name}: ")
        raise LoadFailed(f"{path.name}: {problem}", hint=error.hint, file=path.name) from error
    if other := sorted(named - known):
        raise LoadFailed(
            f"{path.name} names {other[0]}, which is not among the variant's weights", file=path.name
        )


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
        named = list(_auto_maps(read_json(model_folder(bundle) / name)))
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


def read_json(path: Path) -> Any:
    """What a small file holds; `None` where there is no such file.

    Raises:
        LoadFailed: when it is large, or no JSON.
    """
    if not path.is_file():
        return None
    if path.stat().st_size > _MAX_CONFIG:
        raise LoadFailed(f"{path.name} is larger than {_MAX_CONFIG >> 20} MiB", file=path.name)
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise LoadFailed(f"{path.name} is not JSON: {error}", file=path.name) from error


def _auto_maps(value: Any) -> Iterator[str]:
    """The `module.Class` texts under `auto_map`, also of the models that a model is made of."""
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        yield from _texts(inner) if key == "auto_map" else _auto_maps(inner)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        yield from _texts(item)
