"""Whether a file is what its name says: by its content, and by the whole of its header.

The last look before an engine opens a file (rows 3, 9 and 10 of the threat table in
docs/explanation/security.md). Headers were read before the fetch, from wherever the file was; what
counts is what lies here now.
"""

from collections.abc import Callable, Mapping

from modelhub.errors import FormatError
from modelhub.formats.gguf import read_gguf
from modelhub.formats.onnx import read_onnx
from modelhub.formats.reader import RangeReader, ReadRange
from modelhub.formats.safetensors import read_safetensors
from modelhub.formats.sniff import RUNS_CODE, SNIFF_BYTES, Content, sniff

__all__ = ["PICKLE_SUFFIXES", "check_claim"]

PICKLE_SUFFIXES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
"""Names under which PyTorch's pickles come. Other formats use some of them too."""

_CLAIMS: Mapping[str, tuple[Content, Callable[[RangeReader], object]]] = {
    ".safetensors": (Content.SAFETENSORS, read_safetensors),
    ".gguf": (Content.GGUF, read_gguf),
    ".onnx": (Content.ONNX, read_onnx),
}

_WORDS: Mapping[Content, str] = {
    Content.PICKLE: "a pickle, which can run code when it is loaded",
    Content.TORCH: "a pickle in PyTorch's archive, which can run code when it is loaded",
    Content.NUMPY_OBJECT: "an array of pickled objects, which can run code when it is loaded",
    Content.NUMPY: "a NumPy array",
    Content.ZIP: "a zip archive",
    Content.TAR: "a tar archive",
    Content.GZIP: "compressed (gzip)",
    Content.COMPRESSED: "compressed, or an archive",
    Content.HDF5: "HDF5",
    Content.LFS_POINTER: "a Git LFS pointer, not the file that it stands for",
    Content.HTML: "a web page",
    Content.UNKNOWN: "nothing that is known",
}

_FETCH = "Fetch it anew from where it really is: the source gave only the pointer."
_OTHER = "Its name misleads. Choose another variant, or another repository."


def check_claim(name: str, read: ReadRange, size: int, *, pickled: bool = False) -> Content:
    """What the file holds, which is what its name says, with a header that native code may see.

    `read` and `size` are as for `RangeReader`. `pickled` says that pickles are expected under one of
    `PICKLE_SUFFIXES`; else such a file may be anything that runs no code. Names of other kinds claim
    nothing.

    Raises:
        FormatError: for other content, and for a header that is damaged, lying or hostile.
    """
    suffix = next((each for each in (*_CLAIMS, *PICKLE_SUFFIXES) if name.lower().endswith(each)), None)
    found = sniff(read(0, min(SNIFF_BYTES, size)))
    if suffix is None:
        return found
    if suffix in PICKLE_SUFFIXES:
        if (found in {Content.PICKLE, Content.TORCH}) if pickled else found not in RUNS_CODE:
            return found
        raise _other(name, found, "PyTorch's pickle" if pickled else "weights without code")
    wanted, read_header = _CLAIMS[suffix]
    # What sniffing knows is only the begin; of what it does not know, the reader says what is wrong.
    if found not in {wanted, Content.UNKNOWN}:
        raise _other(name, found, wanted)
    read_header(RangeReader(read, size, name=name))
    return wanted


def _other(name: str, found: Content, wanted: str) -> FormatError:
    what = _WORDS.get(found, found.upper())
    return FormatError(
        f"{name}: it should be {wanted}, and is {what}",
        hint=_FETCH if found is Content.LFS_POINTER else _OTHER,
        file=name,
        expected=str(wanted),
        found=str(found),
    )
