"""Repositories that are broken or were made to hurt, each with what must come of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.formats.build import GGUF, safetensors, small_gguf, small_safetensors
from tests.formats.onnx_build import graph, model, small_onnx
from tests.formats.onnx_build import tensor as onnx_tensor
from tests.registry.introspect.adapters import CONFIG, lora_bytes
from tests.registry.introspect.pipelines import index
from tests.registry.introspect.repos import EMBEDDER, LLAMA
from tests.registry.introspect.test_diffusers_elsewhere import spec
from tests.zoo.hub_server.content import File, git_blob_sha1, listed_file
from tests.zoo.hub_server.sparse import Sparse

Content = bytes | Sparse | Mapping[str, Any] | list[Any]
KB, MB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Bad:
    """What is served, and what must come of it: an error of this code, or warnings of these, with texts
    that name the file and say what is wrong.
    """

    files: Mapping[str, Content]
    says: tuple[str, ...]
    error: str | None = None
    warns: tuple[str, ...] = ()
    models: int = 0
    most: int = 64 * KB
    """Bytes that the server may have to send of it, its listing among them."""


def json_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def served(path: str, content: Content) -> File:
    """A file as the server has it; one that is made as it is read is never hashed, and a large file in git."""
    if isinstance(content, Sparse):
        if path.endswith((".json", ".md", ".txt", "LICENSE")):
            oid = git_blob_sha1(path.encode())
            return File(path, content, content.size, "0" * 64, oid, lfs=False)
        return listed_file(path, content, "0" * 64)
    data = content if isinstance(content, bytes) else json_bytes(content)
    return listed_file(path, Sparse((data,)))


def weights(**more: Any) -> bytes:
    return small_safetensors(**more)


def entry(start: int, end: int, *shape: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}


def headed(header: Any, data: int = 24) -> bytes:
    return safetensors(header if isinstance(header, bytes) else json_bytes(header), data)


def chat(config: Content = LLAMA, **more: Content) -> dict[str, Content]:
    named = {"config.json": config, "model.safetensors": weights()}
    return named | {name.replace("__", "."): content for name, content in more.items()}


def config(content: Content, *says: str, **more: Any) -> Bad:
    """A `config.json` that cannot be believed: there is no model of it."""
    return Bad(chat(content), ("config.json", *says), warns=("metadata.damaged",), **more)


def names(*paths: str, says: tuple[str, ...] = ("unsafe file name",)) -> Bad:
    """File names that are refused, whatever is in the files."""
    return Bad(dict.fromkeys(paths, b"x"), says, error="unsafe_path", most=256 * KB)


def gguf(data: bytes | Sparse, *says: str) -> Bad:
    return Bad({"bad-q8_0.gguf": data}, ("bad-q8_0.gguf", *says), error="format_error")


def header(data: bytes | Sparse, *says: str, **more: Any) -> Bad:
    files = {"config.json": LLAMA, "model.safetensors": data}
    return Bad(files, ("model.safetensors", *says), error="format_error", **more)


def shards(*paths: str, **present: bytes) -> dict[str, Content]:
    """A model whose index names `paths`."""
    weight_map = {f"w{number}": path for number, path in enumerate(paths)}
    first = {"config.json": LLAMA, "model.safetensors.index.json": {"weight_map": weight_map}}
    return first | {"model-00001-of-00002.safetensors": weights()}


def adapter(base: Any, **more: Content) -> dict[str, Content]:
    said = CONFIG | {"base_model_name_or_path": base}
    return {"adapter_config.json": said, "adapter_model.safetensors": lora_bytes()} | more


def big_endian() -> bytes:
    return (
        b"GGUF" + (3).to_bytes(4, "big") + (1).to_bytes(8, "big") + (1).to_bytes(8, "big") + bytes(400)
    )


DEEP = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
BOMB = (
    "---\na: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "license: mit\n---\n"
).encode()
LONG_INDEX = {f"w{n}": f"model-{n:05}-of-99999.safetensors" for n in range(1, 100_000)}
OUTSIDE = {"location": "../../etc/passwd", "offset": "0", "length": "32"}
MODULAR = {"_class_name": "FluxModularPipeline", "_diffusers_version": "0.36"}
HUGE = Sparse((b'{"a": "', 200 * MB, b'"}'))

CONFIGS = {
    "config cut": config(b'{"architectures": ["Llama', "no plain JSON"),
    "config of nothing": config(b"", "no plain JSON"),
    "config of 200 MB": config(HUGE, "was not read"),
    "config just below the limit": Bad(
        chat(b'{"a": "' + b" " * (15 * MB) + b'"}'),
        ("config.json names no model",),
        warns=("task.unknown",),
        most=17 * MB,
    ),
    "config of lists": config(b"[" + b"[]," * 600_000 + b"[]]", "members", most=3 * MB),
    "config is a list": config([1, 2], "a list of 2"),
    "config is a number": config(b"7", "7"),
    "config is null": config(b"null", "null"),
    "config is deep": config(DEEP, "config.json", most=256 * KB),
    "config has a key twice": config(
        b'{"model_type": "llama", "model_type": "evil"}', "a key comes twice"
    ),
    "config in UTF-16": config(json.dumps(LLAMA).encode("utf-16"), "no plain JSON"),
    "config that is a page": config(b"<html>busy</html>", "no plain JSON"),
    "config of half characters": config(
        b'{"architectures": ["\\ud800"], "model_type": "\\udfff"}', "model_type"
    ),
    "config of a long number": config(b'{"hidden_size": ' + b"9" * 9000 + b"}", "config.json"),
    "config with values that are none": Bad(
        chat(LLAMA | {"max_position_embeddings": float("nan"), "hidden_size": -1}),
        ("max_position_embeddings", "a whole number"),
        warns=("metadata.damaged",),
        models=1,
    ),
}
WEIGHTS = {
    "tensors that overlap": header(headed({"a": entry(0, 16, 2, 2), "b": entry(8, 24, 2, 2)})),
    "tensors out of range": header(headed({"a": entry(0, 1 << 40, 2, 2)})),
    "tensors backwards": header(headed({"a": entry(16, 0, 2, 2)})),
    "a header of 2^63 bytes": header(safetensors(b"{}", 24, length=1 << 63)),
    "a header beyond the file": header(safetensors(b"{}", 24, length=4000)),
    "a header that is deep": header(headed(DEEP), most=256 * KB),
    "a header of nothing": header(b""),
    "a shape of 2^62": header(headed({"a": entry(0, 16, 1 << 62, 1 << 62)})),
    "a pickle called safetensors": header(b"\x80\x04\x95" + bytes(90)),
    "a header of 90 MB": header(Sparse(((90 * MB).to_bytes(8, "little"), b"{", 90 * MB)), most=110 * MB),
    "a page called safetensors": header(b"<!doctype html><html>busy</html>"),
    "2^63 tensors": gguf(bytes(GGUF(n_tensors=1 << 63)), "tensors"),
    "2^63 keys": gguf(bytes(GGUF(n_pairs=1 << 63))),
    "gguf of the wrong endianness": gguf(big_endian(), "endian"),
    "gguf of version 1": gguf(bytes(GGUF(version=1)), "version 1"),
    "gguf of version 99": gguf(bytes(GGUF(version=99)), "version 99"),
    "gguf without its data": gguf(bytes(small_gguf())[:-64]),
    "gguf of zeros": gguf(Sparse((40 << 30,)), "GGUF"),
    "onnx of noise": Bad({"model.onnx": b"\xff" * 300}, ("model.onnx",), error="format_error"),
    "onnx with a length beyond the file": Bad(
        {"model.onnx": small_onnx()[:-9]}, ("model.onnx",), error="format_error"
    ),
    "onnx with its weights outside": Bad(
        {
            "config.json": LLAMA,
            "onnx/model.onnx": model(graph(tensors=[onnx_tensor("t", external=OUTSIDE)])),
        },
        ("../../etc/passwd",),
        warns=("metadata.damaged",),
    ),
}
INDEXES = {
    "an index of files that are not there": Bad(
        shards("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"),
        ("model-00002-of-00002.safetensors", "missing"),
        warns=("shards.missing",),
    ),
    "an index with a way out": Bad(
        shards("../../../etc/passwd"), ("../../../etc/passwd",), warns=("metadata.damaged",)
    ),
    "an index with an absolute path": Bad(
        shards("/etc/passwd"), ("/etc/passwd",), warns=("metadata.damaged",)
    ),
    "an index of 100,000 files": Bad(
        shards() | {"model.safetensors.index.json": {"weight_map": LONG_INDEX}},
        ("model.safetensors.index.json", "missing"),
        warns=("shards.missing",),
        most=8 * MB,
    ),
    "an index of 200 MB": Bad(
        shards() | {"model.safetensors.index.json": HUGE},
        ("model.safetensors.index.json",),
        warns=("shards.missing",),
    ),
    "modules with a way out": Bad(
        {name: content for name, content in EMBEDDER.items() if name.endswith(".json")}
        | {"model.safetensors": weights()}
        | {"modules.json": [EMBEDDER["modules.json"][0] | {"path": "../../root"}]},
        ("modules.json",),
        warns=("metadata.damaged",),
    ),
    "a pipeline of 5,000 parts": Bad(
        index(**{f"p{n}": ["diffusers", "AutoencoderKL"] for n in range(5000)}),
        ("model_index.json",),
        warns=("metadata.damaged",),
        most=512 * KB,
    ),
    "two components with one file": Bad(
        {
            "modular_model_index.json": MODULAR
            | {
                "vae": spec("AutoencoderKL", "vae", "bad/two-components-with-one-file"),
                "transformer": spec("FluxTransformer2DModel", "vae", "bad/two-components-with-one-file"),
            },
            "vae/config.json": {"_class_name": "AutoencoderKL"},
            "vae/diffusion_pytorch_model.safetensors": weights(),
        },
        ("vae", "transformer"),
        warns=("metadata.damaged",),
        models=1,
    ),
    "a pipeline with parts outside": Bad(
        {
            "modular_model_index.json": MODULAR
            | {"transformer": spec("FluxTransformer2DModel", "../../x")}
        },
        ("../../x",),
        warns=("metadata.damaged",),
    ),
}
NAMES = {
    "a way out": names("../../etc/passwd"),
    "an absolute name": names("/etc/passwd"),
    "a new line": names("a\nb.gguf"),
    "a mark of direction": names("model\u202egufg.exe"),
    "a NUL": names("a\0b"),
    "a device of Windows": names("aux.json"),
    "a dot at the end": names("config.json."),
    "a stream of Windows": names("config.json:evil"),
    "a git folder": names(".git/hooks/post-checkout"),
    "a backslash": names("..\\..\\x"),
    "a name of 300 characters": names("x" * 300),
    "a path of 1,200 characters": names("/".join(["abc"] * 300)),
    "half a character": names("a\ud800"),
    "nothing": names(""),
    "names that differ by case": names("Config.json", "config.json", says=("collide", "onfig.json")),
    "names that differ by folders' case": names("A/x", "a/X", says=("collide",)),
    "names that differ by accents": names("caf\u00e9.json", "cafe\u0301.json", says=("collide",)),
    "a file that is a folder": names("a", "a/b", says=("collide",)),
}
CARDS = {
    "a card with a bomb": Bad(
        chat(README__md=BOMB), ("README.md",), warns=("metadata.damaged",), models=1
    ),
    "a card of 50 MB": Bad(
        chat(README__md=Sparse((b"---\nlicense: mit\n---\n", 50 * MB))), (), models=1
    ),
    "a licence of 200 MB": Bad(chat(LICENSE=Sparse((b"MIT License\n", 200 * MB))), (), models=1),
    "a tokenizer of 100 MB": Bad(chat(tokenizer__json=HUGE), (), models=1),
}
ADAPTERS = {
    "an adapter without its base": Bad(
        adapter("zoo/not-there"), ("zoo/not-there",), warns=("base.missing",), models=1
    ),
    "an adapter of a gated base": Bad(
        adapter("zoo/gated"), ("zoo/gated",), warns=("base.gated",), models=1
    ),
    "an adapter of a path": Bad(
        adapter("../../root/model"), ("../../root/model",), warns=("base.unknown",), models=1
    ),
    "an adapter of a list": Bad(
        adapter(["zoo/base"]),
        ("base_model_name_or_path",),
        warns=("base.unknown", "metadata.damaged"),
        models=1,
    ),
    "an adapter of itself": Bad(
        adapter("bad/an-adapter-of-itself"), ("has no end",), warns=("base.cycle",), models=1
    ),
}
OTHERS = {
    "a repository of no files": Bad({}, ("no files",), warns=("family.unknown",)),
    "a repository of noise": Bad({"x.bin": b"\xff" * 99}, (".bin",), warns=("family.unknown",)),
}
CASES = CONFIGS | WEIGHTS | INDEXES | NAMES | CARDS | ADAPTERS | OTHERS
