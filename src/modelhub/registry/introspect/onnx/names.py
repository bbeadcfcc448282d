"""What the name of an ONNX file says: its graph, the precision of its weights, which files go with it.

Marks: `DEFAULT_DTYPE_SUFFIX_MAPPING` of transformers.js (`src/utils/dtypes.js`), with those of optimum
(`model_O3.onnx`), sentence-transformers (`model_qint8_avx512.onnx`) and OpenCV's zoo (`…_int8bq.onnx`).
onnxruntime-genai puts them into folders: `cuda/cuda-int4-rtn-block-32/model.onnx`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from modelhub.facts import RepoFile
from modelhub.refs import Precision, RepoPath

__all__ = ["WHOLE", "GraphName", "data_by_graph", "is_graph", "read_name"]

WHOLE = "model"
"""What a graph is called that does all by itself."""

_PRECISIONS = {
    "fp32": Precision.FP32,
    "float32": Precision.FP32,
    "bf16": Precision.BF16,
    "bfloat16": Precision.BF16,
    "fp16": Precision.FP16,
    "float16": Precision.FP16,
    "int8": Precision.INT8,
    "uint8": Precision.INT8,
    "q8": Precision.INT8,
    "qint8": Precision.INT8,
    "quint8": Precision.INT8,
    "quantized": Precision.INT8,
    "quant": Precision.INT8,
    "int8bq": Precision.INT8,
    "q8f16": Precision.INT8,
    "uint8f16": Precision.INT8,
    "int4": Precision.INT4,
    "uint4": Precision.INT4,
    "q4": Precision.INT4,
    "q4f16": Precision.INT4,
    "bnb4": Precision.INT4,
    "q2": Precision.INT2,
    "q2f16": Precision.INT2,
    "q1": None,
    "q1f16": None,
    **dict.fromkeys(("o1", "o2", "o3", "o4")),
}
_MARKS = "|".join(sorted(_PRECISIONS, key=len, reverse=True))
_MACHINE = r"(?:_(?:arm64|avx2|avx512(?:_vnni)?))?"
_MARKED = re.compile(rf"[-_.]((?:{_MARKS}){_MACHINE})\Z")
_MACHINES = "cpu|cuda|directml|dml|gpu|mobile|npu|web|webgpu"
_IN_FOLDER = re.compile(rf"(?:(?:{_MACHINES})[-_](?:.*[-_])?)?({_MARKS})(?:[-_].*)?")
_NO_NAMES = frozenset(["onnx", "cpu_and_mobile", *_MACHINES.split("|")])
"""Folders that say what for, and nothing of the model."""

_DATA = re.compile(r"(?P<graph>.+\.onnx)(?:_data|\.data)(?:_\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class GraphName:
    """What the name of a file says.

    `graph` is its name without precision, `mark` the precision as it is written, `""` without one,
    both in lower case; `base` is its folder, without what says only a machine, a format or a
    precision.
    """

    graph: str
    mark: str
    precision: Precision | None
    base: str


def is_graph(file: RepoFile) -> bool:
    """Whether a file is an ONNX graph, by its name."""
    return file.path.suffix == ".onnx"


def read_name(path: RepoPath) -> GraphName:
    """What the name of an ONNX file says."""
    stem = path.name[: -len(path.suffix)].lower()
    found = _MARKED.search(stem)
    mark = found[1] if found else ""
    folders = path.folder.split("/")
    while folders:
        inner = _IN_FOLDER.fullmatch(folders[-1].lower())
        if inner is None and folders[-1].lower() not in _NO_NAMES:
            break
        mark = mark or (inner[1] if inner else "")
        folders.pop()
    return GraphName(
        graph=stem[: found.start()] if found else stem,
        mark=mark,
        precision=_PRECISIONS.get(mark.partition("_")[0]),
        base="/".join(folders),
    )


def data_by_graph(files: Iterable[RepoFile]) -> dict[str, list[RepoFile]]:
    """The files with weights of each graph, by their names: `model.onnx_data`, `model.onnx_data_1` …"""
    found: dict[str, list[RepoFile]] = {}
    for file in sorted(files, key=lambda file: (len(file.path), file.path)):
        if match := _DATA.fullmatch(file.path):
            found.setdefault(match["graph"], []).append(file)
    return found
