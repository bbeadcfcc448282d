"""The bytes of the tensors, by the headers that were read; files are larger, or lie."""

from modelhub.facts import Component, FileKind, Model, RepoFile, Variant
from modelhub.facts.memory import weights_part
from modelhub.formats import RangeReader, read_gguf, read_safetensors
from modelhub.refs import RepoPath
from modelhub.registry.introspect import Metadata
from modelhub.registry.introspect.weighing import weighed
from tests.formats.build import small_gguf, small_safetensors

GGUF, SAFE = bytes(small_gguf()), small_safetensors()
HEADERS = Metadata(
    headers={
        "x.gguf": read_gguf(RangeReader.from_bytes(GGUF)),
        "x.safetensors": read_safetensors(RangeReader.from_bytes(SAFE)),
    }
)


def model_of(**sizes: int) -> Model:
    files = tuple(
        RepoFile(path=RepoPath(name.replace("_", ".")), size=size, kind=FileKind.MODEL)
        for name, size in sizes.items()
    )
    part = Component(name="model", repo="a/b", commit="c" * 40, files=files)
    variant = Variant(name="fp32", format="gguf", components=(part,))
    return Model(name="b", task="text-generation", category="llm", variants=(variant,))


def test_tensors_are_counted_and_the_header_around_them_is_not():
    model = weighed(model_of(x_gguf=len(GGUF), x_safetensors=len(SAFE)), HEADERS)
    counted = model.details["tensor_bytes"]
    assert counted == {
        "x.gguf": sum(tensor.nbytes for tensor in HEADERS.gguf("x.gguf").tensors),
        "x.safetensors": len(SAFE) - HEADERS.safetensors("x.safetensors").data_start,
    }
    weights, tier = weights_part(model, model.variants[0])
    assert (weights.bytes, tier) == (sum(counted.values()), "header")
    assert weights.bytes < model.variants[0].bytes


def test_one_file_whose_header_was_not_read_makes_the_sizes_count():
    model = weighed(model_of(x_gguf=len(GGUF), y_gguf=10_000), HEADERS)
    weights, tier = weights_part(model, model.variants[0])
    assert (weights.bytes, tier) == (len(GGUF) + 10_000, "size")


def test_a_header_that_counts_more_than_the_file_has_is_not_believed():
    assert "tensor_bytes" not in weighed(model_of(x_gguf=40), HEADERS).details
    assert weighed(model_of(y_gguf=40), HEADERS).details == {}
