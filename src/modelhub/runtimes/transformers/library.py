"""The libraries: opened quietly, one model at a time, and without a word to any network."""

import functools
import gc
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelhub.errors import LoadFailed, PickleRefused
from modelhub.facts import Device
from modelhub.runtimes.base import Bundle
from modelhub.runtimes.transformers.files import (
    check_code,
    check_weights,
    model_folder,
    variant_of,
)
from modelhub.runtimes.transformers.pickles import read_pickle

_LOADING = threading.Lock()
"""What the library sets while it loads (its log level, PyTorch's default dtype, warnings) is set for
the whole process: two loads at once would each put back what the other had set.
"""


def open_model(kind: str, bundle: Bundle, device: Device, dtype: str) -> tuple[Any, Any]:
    """The tokenizer and the model of a pulled folder; `kind` is an auto class of transformers.

    Raises:
        LoadFailed: with the library's own error as its cause, also when a weight is missing.
        RemoteCodeRefused, PickleRefused
    """
    files = check_weights(bundle)
    check_code(bundle)
    import torch
    import transformers

    # On CPUs half precision is slow, and some operations do not have it at all.
    chosen = "float32" if dtype == "auto" and device.kind == "cpu" else dtype
    with (
        _LOADING,
        _quiet(transformers),
        _own_modules(allowed=bundle.code_allowed),
        torch.random.fork_rng(devices=[]),  # it draws numbers for weights that a file lacks
    ):
        try:
            tokenizer, model, loaded = _open(transformers, kind, bundle, files, chosen)
            _check_complete(model, loaded)
            return tokenizer, model.to(device.name).eval()
        except (LoadFailed, PickleRefused):
            raise
        except Exception as error:
            raise LoadFailed(
                f"transformers could not load {bundle.variant.components[0].repo}: {_first(error)}"
            ) from error


def _open(
    transformers: Any, kind: str, bundle: Bundle, files: tuple[Path, ...], dtype: str
) -> tuple[Any, Any, Any]:
    folder = str(model_folder(bundle))
    how: dict[str, Any] = {"local_files_only": True, "trust_remote_code": bundle.code_allowed}
    config = transformers.AutoConfig.from_pretrained(folder, **how)
    _keep_to_itself(config)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **how)
    if kind == "AutoModel" and config.model_type in {"t5", "mt5", "umt5"}:
        kind = "AutoModelForTextEncoding"  # embedders of these families have no decoder
    auto = getattr(transformers, kind)
    if files[0].suffix != ".safetensors":
        return tokenizer, *_of_pickles(transformers, auto, config, bundle, files, dtype)
    model, loaded = auto.from_pretrained(
        folder,
        config=config,
        use_safetensors=True,
        variant=variant_of(files),
        dtype=dtype,
        output_loading_info=True,
        **how,
    )
    return tokenizer, model, loaded


def _of_pickles(
    transformers: Any, auto: Any, config: Any, bundle: Bundle, files: tuple[Path, ...], dtype: str
) -> tuple[Any, Any]:
    """The model with tensors that we have read: the library opens no pickle itself."""
    import torch

    tensors = {name: value for path in files for name, value in read_pickle(bundle, path).items()}
    with torch.device("meta"):  # only to know its class
        kind = type(auto.from_config(config, trust_remote_code=bundle.code_allowed))
    model, loaded = kind.from_pretrained(
        None, config=config, state_dict=tensors, dtype=dtype, output_loading_info=True
    )
    folder = model_folder(bundle)
    if model.can_generate() and (folder / "generation_config.json").is_file():
        model.generation_config = transformers.GenerationConfig.from_pretrained(str(folder))
    return model, loaded


def _keep_to_itself(config: Any) -> None:
    """A configuration may name a kernel of another repository, which would be downloaded and run, or a
    file with other weights than those that were checked.

    Raises:
        LoadFailed: for packed weights, which need a package, and often a kernel, of their own.
    """
    config._attn_implementation = None  # noqa: SLF001 - sets it for the parts of a model too
    config._experts_implementation = None  # noqa: SLF001
    config.transformers_weights = None
    if packed := getattr(config, "quantization_config", None):
        method = packed.get("quant_method") if isinstance(packed, dict) else None
        raise LoadFailed(
            f"its weights are packed ({method or 'quantization_config'}), which is not supported",
            hint="Take the repository with plain weights, or a GGUF file.",
        )


def _check_complete(model: Any, loaded: Any) -> None:
    """The library makes up what is missing, and says so in a log: that is no model.

    A pooler is not used where texts are embedded, and often left out.

    Raises:
        LoadFailed
    """
    for what in ("missing_keys", "mismatched_keys", "error_msgs"):
        found = sorted(map(str, loaded.get(what) or ()))
        if not model.can_generate():
            found = [each for each in found if not each.startswith("pooler.")]
        if found:
            shown = ", ".join(found[:3]) + (" …" if len(found) > 3 else "")
            raise LoadFailed(f"the weights do not fit the model: {what.replace('_', ' ')} {shown}")


def _first(error: Exception) -> str:
    line = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {line[:300]}"


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """No progress bar and no advice while a model is loaded, and afterwards all as it was."""
    logging = transformers.utils.logging
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


@contextmanager
def _own_modules(*, allowed: bool) -> Iterator[None]:
    """Code that was allowed is copied to a folder of this process, and imported from there: not from
    the user's cache, where another program may have put another version.
    """
    if not allowed:
        yield
        return
    from transformers import dynamic_module_utils as dynamic

    before = dynamic.HF_MODULES_CACHE
    dynamic.HF_MODULES_CACHE = _code_folder().name
    try:
        yield
    finally:
        dynamic.HF_MODULES_CACHE = before


@functools.cache
def _code_folder() -> "tempfile.TemporaryDirectory[str]":
    """One for the process and as long as it lives: what was imported from it may import more."""
    return tempfile.TemporaryDirectory(prefix="modelhub-code-", ignore_cleanup_errors=True)


def empty_cache(device: str) -> None:
    """Give back what PyTorch keeps of a device's memory after a model is gone; `device` is its kind."""
    import torch

    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
