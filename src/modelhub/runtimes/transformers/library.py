"""The libraries: opened quietly, and without a word to any network."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelhub.errors import LoadFailed
from modelhub.facts import Device
from modelhub.runtimes.base import Bundle
from modelhub.runtimes.transformers.files import (
    check_code,
    check_weights,
    model_folder,
    variant_of,
)

_kept: list[Any] = []


def open_model(kind: str, bundle: Bundle, device: Device, dtype: str) -> tuple[Any, Any]:
    """The tokenizer and the model of a pulled folder; `kind` is an auto class of transformers.

    Raises:
        LoadFailed: with the library's own error as its cause, also when a weight is missing.
        FormatError, RemoteCodeRefused
    """
    files = check_weights(bundle)
    check_code(bundle)
    import torch
    import transformers

    how: dict[str, Any] = {"local_files_only": True, "trust_remote_code": bundle.code_allowed}
    folder = str(model_folder(bundle))
    with _quiet(transformers), _own_modules(allowed=bundle.code_allowed):
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **how)
            model, loaded = getattr(transformers, kind).from_pretrained(
                folder,
                use_safetensors=True,
                variant=variant_of(files),
                dtype=dtype,
                output_loading_info=True,
                **how,
            )
        except Exception as error:
            raise LoadFailed(
                f"transformers could not load {bundle.variant.components[0].repo}: {_first(error)}"
            ) from error
    _check_complete(loaded)
    return tokenizer, _on_device(torch, model, device, dtype)


def _on_device(torch: Any, model: Any, device: Device, dtype: str) -> Any:
    """The model, ready. CPUs compute half precision slowly, and some operations not at all."""
    if dtype == "auto" and device.kind == "cpu" and model.dtype in {torch.float16, torch.bfloat16}:
        model = model.float()
    return model.to(device.name).eval()


def _check_complete(loaded: Any) -> None:
    """The library makes up what is missing, and says so in a log: that is no model.

    Raises:
        LoadFailed
    """
    for what in ("missing_keys", "mismatched_keys", "error_msgs"):
        if found := sorted(map(str, loaded.get(what) or ())):
            shown = ", ".join(found[:3]) + (" …" if len(found) > 3 else "")
            raise LoadFailed(
                f"the weights do not fit the model: {what.replace('_', ' ')} {shown}"
            ) from None


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

    folder = tempfile.TemporaryDirectory(prefix="modelhub-code-", ignore_cleanup_errors=True)
    _kept.append(folder)  # imported modules are read from it as long as the process lives
    before = dynamic.HF_MODULES_CACHE
    dynamic.HF_MODULES_CACHE = str(Path(folder.name))
    try:
        yield
    finally:
        dynamic.HF_MODULES_CACHE = before
