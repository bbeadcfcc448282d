import gguf
import pytest
from gguf import GGMLQuantizationType, LlamaFileType

from modelhub.formats.ggml import FILE_TYPES, GGML_TYPES, GUESSED
from modelhub.refs import Precision


def test_the_types_are_those_of_the_gguf_package():
    ours = {kind.id: (kind.name, kind.block, kind.bytes) for kind in GGML_TYPES.values()}
    theirs = {int(kind): (kind.name, *gguf.GGML_QUANT_SIZES[kind]) for kind in GGMLQuantizationType}
    assert ours == theirs


def test_a_types_precision_has_its_name():
    for kind in GGML_TYPES.values():
        assert kind.precision in (Precision.parse(kind.name), None)
    without = {kind.name for kind in GGML_TYPES.values() if kind.precision is None}
    assert without == {"Q8_K", "I8", "I16", "I32", "I64"}


@pytest.mark.parametrize("file_type", [kind for kind in LlamaFileType if kind != LlamaFileType.GUESSED])
def test_each_file_type_of_the_gguf_package_is_a_precision_of_its_name(file_type):
    name = file_type.name.removeprefix("ALL_").removeprefix("MOSTLY_")
    assert FILE_TYPES[file_type] is Precision.parse(name)


def test_no_file_type_is_ours_alone():
    assert FILE_TYPES.keys() == {int(kind) for kind in LlamaFileType} - {GUESSED}
    assert int(LlamaFileType.GUESSED) == GUESSED
