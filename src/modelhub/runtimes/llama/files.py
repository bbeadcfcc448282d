"""The GGUF files of a variant, checked before native code sees them."""

from collections.abc import Iterable
from pathlib import Path

from modelhub.errors import LoadFailed
from modelhub.formats import GGUFHeader, RangeReader, read_gguf
from modelhub.runtimes.base import Bundle

_PIECE = 8 << 20
_MOST_LAYERS = 512
"""`LLAMA_MAX_LAYERS` in `src/llama-hparams.h`."""

_MOST_EXPERTS = 512
"""`LLAMA_MAX_EXPERTS`, there too."""


def gguf_files(bundle: Bundle) -> tuple[Path, ...]:
    """The weights, the first shard first: llama.cpp finds the others by its name."""
    names = [part.name for part in bundle.variant.components if part.format in {None, "gguf"}]
    main = "model" if "model" in names else next(iter(names), None)
    paths = bundle.files(main) if main is not None else ()
    files = [path for path in paths if path.suffix.lower() == ".gguf"]
    if not files:
        raise LoadFailed(f"the variant {bundle.variant.name!r} holds no .gguf file")
    return tuple(sorted(files, key=lambda path: path.name))


def check_headers(files: tuple[Path, ...]) -> GGUFHeader:
    """The first file's header, once every header is found sound.

    Raises:
        FormatError: for a header that native code must not see.
        LoadFailed: for numbers at which llama.cpp ends the whole process instead of refusing them.
    """
    first, *_ = [read_gguf(RangeReader.from_path(path)) for path in files]
    _check_counts(files[0], first)
    return first


def _check_counts(path: Path, header: GGUFHeader) -> None:
    """The assertions of `src/llama-model.cpp: load_hparams` that hold for every architecture."""
    layers = header.hyperparameter("block_count")
    if layers is not None and not 1 <= layers <= _MOST_LAYERS:
        raise LoadFailed(f"{path.name} says it has {layers} layers; llama.cpp takes 1 to {_MOST_LAYERS}")
    experts = header.hyperparameter("expert_count") or 0
    if experts > _MOST_EXPERTS:
        raise LoadFailed(
            f"{path.name} says it has {experts} experts; llama.cpp takes up to {_MOST_EXPERTS}"
        )
    used = header.metadata.get(f"{header.architecture}.expert_used_count", 0)
    right = used == 0 if experts == 0 else isinstance(used, int) and 1 <= used <= experts
    if isinstance(used, int) and experts != 1 and not right:
        raise LoadFailed(f"{path.name} says it uses {used} of {experts} experts")


def read_ahead(files: Iterable[Path]) -> None:
    """Bring the files into the page cache.

    The engine would read them too, but with the interpreter locked: no other thread of the program
    would run, and no Ctrl-C be heard, for as long as the disk takes.
    """
    buffer = bytearray(_PIECE)
    for file in files:
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(buffer):
                pass
