"""Repositories with ONNX graphs by hand: layouts as they are published, with headers as they would be read."""

import json
from collections.abc import Mapping
from typing import Any

from modelhub.formats import ONNXHeader, RangeReader, read_onnx
from modelhub.registry.introspect import Findings, Metadata, headers_wanted, introspect
from tests.formats.onnx_build import (
    DOMAIN,
    FLOAT,
    FLOAT16,
    INT8,
    INT64,
    UINT8,
    graph,
    model,
    node,
    tensor,
    unpacking,
    value,
)

from .build import listing

DTYPES = {"fp32": FLOAT, "fp16": FLOAT16, "int8": INT8, "uint8": UINT8}
SUFFIXES = ("", "_fp16", "_int8", "_uint8", "_quantized", "_q4", "_q4f16", "_bnb4")
"""Of all files that transformers.js makes of one graph."""

TOKENS = {"input_ids": ("batch_size", "sequence_length")}
CACHE = {f"past_key_values.{n}.{kind}": ("batch_size", 2, "past", 16) for n in (0, 1) for kind in "kv"}
IMAGE = {"pixel_values": ("batch_size", 3, "height", "width")}

YUNET = {
    f"{part}_{stride}": (1, None, 1) for part in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)
}
YOLO = {
    "author": "Ultralytics",
    "description": "Ultralytics YOLO11n model",
    "license": "AGPL-3.0 License (https://ultralytics.com/license)",
    "names": "{0: 'person', 1: 'bicycle'}",
    "task": "detect",
}

DEPTH = {
    # The whole configuration of onnx-community/depth-anything-v2-small, 38 bytes long.
    "config.json": b'{\n    "model_type": "depth_anything"\n}',
    "preprocessor_config.json": {"image_processor_type": "DPTImageProcessor"},
    "README.md": None,
}
QWEN = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "max_position_embeddings": 2048,
    "vocab_size": 2000,
}
TOKENIZER = {
    "tokenizer.json": {},
    "tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer", "chat_template": "{{ messages }}"},
}


def header(
    dtype: str = "fp32",
    takes: Mapping[str, tuple[Any, ...]] | None = None,
    gives: Mapping[str, tuple[Any, ...]] | None = None,
    *,
    elements: int = 1000,
    external: Mapping[str, int] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> ONNXHeader:
    """The header of a graph with weights of `dtype`; `int4` are packed into bytes, for nodes to unpack.

    `external` names files with weights besides, by how many bytes of each are needed.
    """
    kind = DTYPES.get(dtype, UINT8)
    nodes = [unpacking()] if dtype == "int4" else [node()]
    tensors = [tensor("w", (elements,), kind), tensor("k", (2,), INT64)]
    tensors += [
        tensor(file, (size,), UINT8, external={"location": file, "length": str(size)})
        if dtype == "int4"
        else tensor(file, (size // 4,), external={"location": file, "length": str(size)})
        for file, size in (external or {}).items()
    ]
    inputs = [value(name, shape) for name, shape in (takes or {"x": (1,)}).items()]
    outputs = [value(name, shape) for name, shape in (gives or {"y": (1,)}).items()]
    content = graph(nodes, tensors, inputs, outputs)
    data = model(content, opsets={"": 17, DOMAIN: 1}, metadata=metadata)
    return read_onnx(RangeReader.from_bytes(data))


def find(files: Mapping[str, Any], name: str = "Tiny-ONNX", **facts: Any) -> Findings:
    """What is found in a repository with these files.

    A JSON value or bytes is what a small file holds, a number how long one is that is not read, `None`
    a file that was not read; an ONNX header is read where it is wanted.
    """
    sizes = {path: held if isinstance(held, int) else 1000 + len(path) for path, held in files.items()}
    repo = listing(sizes, name, **facts)
    small, headers = {}, {}
    for path, held in files.items():
        if isinstance(held, ONNXHeader):
            if path in headers_wanted(repo):
                headers[path] = held
        elif isinstance(held, bytes):
            small[path] = held
        elif held is not None and not isinstance(held, int):
            small[path] = json.dumps(held).encode()
    return introspect(repo, Metadata(files=small, headers=headers))
