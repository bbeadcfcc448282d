"""What the weights of a model take once they are loaded, by their headers."""

from modelhub.facts import JsonDict, Model
from modelhub.facts.memory import TENSOR_BYTES
from modelhub.registry.introspect.base import Metadata

__all__ = ["weighed"]


def weighed(model: Model, metadata: Metadata) -> Model:
    """The model, with the bytes of the tensors of each of its files whose header was read."""
    files = {file.path: file.size for variant in model.variants for _, file in variant.files()}
    counted = ((path, _tensor_bytes(path, metadata), size) for path, size in files.items())
    # What a header counts beyond the end of its file is no weight.
    table: JsonDict = {path: count for path, count, size in counted if count and count <= size}
    if not table:
        return model
    return model.model_copy(update={"details": {**model.details, TENSOR_BYTES: table}})


def _tensor_bytes(path: str, metadata: Metadata) -> int | None:
    if gguf := metadata.gguf(path) or metadata.tables.get(path):
        return sum(tensor.nbytes for tensor in gguf.tensors)
    if safetensors := metadata.safetensors(path):
        return sum(tensor.end - tensor.start for tensor in safetensors.tensors)
    return None
