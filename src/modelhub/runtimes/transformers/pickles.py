"""Weights in pickles: as plain tensors, or, where the user trusts the file, as whatever it makes of itself.

`torch.load(weights_only=True)` is an unpickler of its own, which makes tensors and plain values and
calls nothing else (https://docs.pytorch.org/docs/stable/notes/serialization.html#weights-only). It is
the gate; what a scanner says of the file decides nothing.
"""

import pickle
from pathlib import Path
from typing import Any

from modelhub.errors import LoadFailed, PickleRefused
from modelhub.formats import SNIFF_BYTES, Content, sniff
from modelhub.runtimes.base import Bundle


def read_pickle(bundle: Bundle, path: Path) -> dict[str, Any]:
    """The tensors of one file, in this process's memory or mapped from the file.

    Raises:
        PickleRefused: for a file that holds more than weights, unless the bundle says that it is trusted.
        LoadFailed: for one that PyTorch cannot read, or that holds no tensors by name.
    """
    import torch

    content = _content(path)
    how: dict[str, Any] = {"map_location": "cpu", "mmap": content is Content.TORCH}
    try:
        if not (found := _refused_globals(path, content)):
            return _tensors(path, torch.load(path, weights_only=True, **how))
        problem = f"it calls {', '.join(found[:5])}{' …' if len(found) > 5 else ''}"
    except pickle.UnpicklingError as error:
        problem = _reason(error)
    except LoadFailed:
        raise
    except Exception as error:
        raise _unreadable(path, error) from error
    if bundle.digest(path) not in bundle.trusted:
        raise _refused(bundle, path, problem)
    try:
        return _tensors(path, torch.load(path, weights_only=False, **how))
    except LoadFailed:
        raise
    except Exception as error:  # a pickle raises what it likes
        raise _unreadable(path, error) from error


def _content(path: Path) -> Content:
    """Which of the two kinds of pickles it is.

    Raises:
        LoadFailed: for anything else; so for the tar archives of PyTorch's first years.
    """
    with path.open("rb", buffering=0) as file:
        content = sniff(file.read(SNIFF_BYTES))
    if content not in {Content.TORCH, Content.PICKLE}:
        raise LoadFailed(f"{path.name} is no pickle of PyTorch's but {content}", file=path.name)
    return content


def _refused_globals(path: Path, content: Content) -> list[str]:
    """What the pickle would call that is none of a tensor's, found without unpickling anything.

    The old kind is several pickles and raw numbers behind each other, and told by loading it.
    """
    if content is not Content.TORCH:
        return []
    from torch.serialization import get_unsafe_globals_in_checkpoint

    return sorted(get_unsafe_globals_in_checkpoint(path))


def _tensors(path: Path, loaded: Any) -> dict[str, Any]:
    """Those of a mapping of names to tensors; other values, such as an epoch's number, are not the model's."""
    import torch

    if not isinstance(loaded, dict):
        raise LoadFailed(
            f"{path.name} holds a {type(loaded).__name__}, no tensors by name", file=path.name
        )
    found = {
        name: value
        for name, value in loaded.items()
        if isinstance(name, str) and isinstance(value, torch.Tensor)
    }
    if not found:
        raise LoadFailed(f"{path.name} holds no tensors by name", file=path.name)
    return found


def _refused(bundle: Bundle, path: Path, problem: str) -> PickleRefused:
    digest = bundle.digest(path)
    named = f"sha256:{digest}" if digest else "a digest that is not known"
    return PickleRefused(
        f"{path.name} ({named}) holds more than weights: {problem}. Loading that would run code",
        hint="Look for a repository with safetensors. Who made the file and is trusted with everything that "
        f'you can do: pass trust="{named}", and it is loaded in a process of its own.',
        file=path.name,
        sha256=digest,
        problem=problem,
    )


def _unreadable(path: Path, error: Exception) -> LoadFailed:
    return LoadFailed(f"{path.name} could not be read: {_reason(error)}", file=path.name)


def _reason(error: Exception) -> str:
    """PyTorch's own advice is to load it without care; what it found stands behind that."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found = (line for line in lines if not line.startswith("Weights only load failed"))
    return f"{type(error).__name__}: {next(found, '')[:300]}"
