"""Reads ONNX files within bounds; see the package's docstring."""

from collections import Counter
from math import prod
from typing import Any

from modelhub.errors import FormatError
from modelhub.formats.onnx.header import DTYPES, ONNXHeader, ONNXValue
from modelhub.formats.onnx.wire import BYTES, VARINT, Exhausted, Wire, signed
from modelhub.formats.reader import RangeReader

__all__ = ["read_onnx"]

GRAPH_BYTES = 6 << 20
"""After so many, what is left of the graph is jumped over. Nodes take 100 bytes each or two."""
REST_BYTES = 1 << 20
"""What may be read behind such a graph, to learn the operator sets and the metadata."""
MAX_FIELDS = 1 << 19
"""Since each costs time: a graph of 20,000 nodes has half of these."""
MAX_JUMPS = 384
"""Each is a request to a remote; a decoder of 32 layers has 230 large tensors."""
REST = 1 << 12

MAX_DEPTH = 4
"""Of graphs in nodes: an `If` has one for each branch, in which another may stand."""
MAX_NODE = 4 << 10
"""A longer node has a graph or weights in it, of which only graphs are looked into."""
MAX_VALUE = 64 << 10
MAX_VALUES = 1 << 12
"""Inputs and outputs; a decoder has four of them a layer."""
MAX_TEXT = 64 << 10
MAX_PROPERTIES = 1 << 10
MAX_OPSETS = 1 << 10
MAX_FILES = 1 << 12
"""Other files with weights; some exporters write one a tensor."""
MAX_DIMENSIONS = 64
MAX_ELEMENTS = 1 << 53
OPSETS_SINCE = 3
"""The version of the format from which on operator sets must be named."""

_KINDS = {1: "tensor", 4: "sequence", 5: "map", 7: "opaque", 8: "sparse_tensor", 9: "optional"}
_DATA = (4, 5, 6, 7, 10, 11)
_RAW = 9
_UNPACKING = (b"MatMulNBits", b"MatMulBnb4", b"GatherBlockQuantized")
_USUAL_BITS = 4


def read_onnx(reader: RangeReader) -> ONNXHeader:
    """What an ONNX file says of its graph, of which no weights are read.

    Reading stops after some megabytes or some hundred jumps, and says so by `complete`.

    Raises:
        FormatError: for anything that is damaged, lying, hostile or not known here.
    """
    return _Parser(reader).header()


class _Parser:
    def __init__(self, reader: RangeReader) -> None:
        self.reader = reader
        most = min(GRAPH_BYTES, reader.limit // 2)
        self.wire = Wire(reader, most_bytes=most, fields=MAX_FIELDS, jumps=MAX_JUMPS)
        self.texts = {2: "", 3: "", 4: ""}
        self.numbers = {1: 0, 5: 0}
        self.opsets: dict[str, int] = {}
        self.metadata: dict[str, str] = {}
        self.graph: str | None = None
        self.inputs: list[ONNXValue] = []
        self.outputs: list[ONNXValue] = []
        self.initializers: set[str] = set()
        self.dtypes: Counter[str] = Counter()
        self.nbytes = 0
        self.external: dict[str, int] = {}
        self.widths: Counter[int] = Counter()
        self.complete = True

    def header(self) -> ONNXHeader:
        try:
            self._model()
        except Exhausted:
            self.complete = False
        self._check()
        return ONNXHeader(
            ir_version=self.numbers[1],
            producer=self.texts[2],
            producer_version=self.texts[3],
            domain=self.texts[4],
            model_version=self.numbers[5],
            opsets=self.opsets,
            graph=self.graph or "",
            inputs=tuple(each for each in self.inputs if each.name not in self.initializers),
            outputs=tuple(self.outputs),
            dtypes=dict(self.dtypes.most_common()),
            nbytes=self.nbytes,
            external=self.external,
            metadata=self.metadata,
            packed_bits=max(self.widths, key=lambda bits: self.widths[bits], default=None),
            complete=self.complete,
        )

    def _check(self) -> None:
        version = self.numbers[1]
        if not 0 < version < 1 << 31:
            raise self._error(f"not an ONNX file: the version of its format is {version}")
        if self.graph is None:
            raise self._error("it has no graph")
        if self.complete and version >= OPSETS_SINCE and not self.opsets:
            raise self._error("it names no operator set")

    def _model(self) -> None:
        for number, kind, value in self.wire.fields(self.reader.size):
            if kind == VARINT and number in self.numbers:
                self.numbers[number] = signed(value)
            elif kind == BYTES and number in self.texts:
                self.texts[number] = self._text(value)
            elif kind == BYTES and number == 7:
                self._whole_graph(value)
            elif kind == BYTES and number == 8:
                self._opset(value)
            elif kind == BYTES and number == 14:
                self._property(value)

    def _whole_graph(self, length: int) -> None:
        if self.graph is not None:
            raise self._error("it has two graphs")
        self.graph = ""
        try:
            self._graph(length, 0)
        except Exhausted:
            self.complete = False
            self.wire.allow(more_bytes=REST_BYTES, fields=REST, jumps=REST >> 8)

    def _graph(self, length: int, depth: int) -> None:
        for number, kind, size in self.wire.fields(length):
            if kind != BYTES:
                continue
            if number == 1:
                self._node(size, depth)
            elif number == 5:
                self._tensor(size)
            elif number == 15:
                self._sparse(size)
            elif depth == 0:
                self._about_graph(number, size)

    def _about_graph(self, number: int, size: int) -> None:
        if number == 2:
            self.graph = self._text(size)
        elif number in (11, 12):
            values = self.inputs if number == 11 else self.outputs
            values.append(self._value(size))
            if len(self.inputs) + len(self.outputs) > MAX_VALUES:
                raise self._error(f"its graph has more than {MAX_VALUES:,} inputs and outputs")

    def _node(self, length: int, depth: int) -> None:
        if length <= MAX_NODE:
            data = self.reader.take(length)
            if any(name in data for name in _UNPACKING):
                self._unpacking(data)
        elif depth < MAX_DEPTH:
            for number, kind, size in self.wire.fields(length):
                if (number, kind) == (5, BYTES):
                    self._attribute(size, depth)

    def _attribute(self, length: int, depth: int) -> None:
        for number, kind, size in self.wire.fields(length):
            if kind == BYTES and number in (6, 11):
                self._graph(size, depth + 1)

    def _unpacking(self, data: bytes) -> None:
        """How many bits of its weights this node takes together, if it is one that unpacks them."""
        name, bits = b"", _USUAL_BITS
        for number, value in self.wire.message(data):
            if number == 4 and isinstance(value, bytes):
                name = value
            elif number == 5 and isinstance(value, bytes):
                said = dict(self.wire.message(value))
                found = said.get(3)
                if said.get(1) == b"bits" and isinstance(found, int):
                    bits = found
        if name in _UNPACKING and 0 < bits <= 8:
            self.widths[bits] += 1

    def _sparse(self, length: int) -> None:
        for number, kind, size in self.wire.fields(length):
            if (number, kind) == (1, BYTES):
                self._tensor(size)

    def _tensor(self, length: int) -> None:
        shape: list[int] = []
        name, dtype, is_external = "", 0, False
        place: dict[str, str] = {}
        raw, data = None, 0
        for number, kind, value in self.wire.fields(length):
            if number == 1:
                shape += self._dimensions(kind, value)
                self._check_rank(shape)
            elif number == 8 and kind == BYTES:
                name = self._text(value)
            elif number == 2 and kind == VARINT:
                dtype = value
            elif number == 14 and kind == VARINT:
                is_external = value == 1
            elif number == 13 and kind == BYTES:
                place.update([self._entry(value)])
            elif number == _RAW and kind == BYTES:
                raw = value
            elif number in _DATA:
                data += value if kind == BYTES else 1
        nbytes = self._count(name, shape, dtype)
        self.initializers.add(name)
        if is_external:
            self._place(name, nbytes, place)
        else:
            self._check_data(name, nbytes, raw, data)

    def _dimensions(self, kind: int, value: int) -> list[int]:
        if kind == VARINT:
            return [signed(value)]
        if value > 10 * MAX_DIMENSIONS:
            raise self._error(f"a tensor has more than {MAX_DIMENSIONS} dimensions")
        return [signed(each) for each in self.wire.varints(self.reader.take(value))]

    def _check_rank(self, shape: list[int]) -> None:
        if len(shape) > MAX_DIMENSIONS:
            raise self._error(f"a tensor has more than {MAX_DIMENSIONS} dimensions")

    def _count(self, name: str, shape: list[int], dtype: int) -> int | None:
        """Count a tensor's elements; its bytes, where its type says how many they are."""
        elements = prod(shape)
        if any(length < 0 for length in shape) or elements > MAX_ELEMENTS:
            raise self._tensor_error(name, f"it claims the shape {shape!r:.80}")
        known, bits, _ = DTYPES.get(dtype, ("unknown", 0, None))
        self.dtypes[known] += elements
        nbytes = -(-elements * bits // 8)
        self.nbytes += nbytes
        return nbytes if bits else None

    def _check_data(self, name: str, nbytes: int | None, raw: int | None, data: int) -> None:
        if raw is not None and nbytes is not None and raw != nbytes:
            raise self._tensor_error(name, f"its {nbytes:,} bytes are {raw:,} in the file")
        # In fields of their own, numbers take a byte or more, in which four may be packed.
        if raw is None and nbytes and nbytes > 16 * data:
            raise self._tensor_error(name, f"its {nbytes:,} bytes are not in the file")

    def _place(self, name: str, nbytes: int | None, place: dict[str, str]) -> None:
        """Remember which other file holds a tensor, and up to where."""
        file = place.get("location", "")
        offset, length = self._offset(name, place, "offset"), self._offset(name, place, "length")
        if not file:
            raise self._tensor_error(name, "it is in another file, which is not named")
        if nbytes is not None and length not in (None, nbytes):
            raise self._tensor_error(name, f"its {nbytes:,} bytes are {length:,} in {file!r:.120}")
        end = (offset or 0) + (length or nbytes or 0)
        self.external[file] = max(self.external.get(file, 0), end)
        if len(self.external) > MAX_FILES:
            raise self._error(f"its weights are in more than {MAX_FILES:,} files")

    def _offset(self, name: str, place: dict[str, str], key: str) -> int | None:
        said = place.get(key)
        if said is None:
            return None
        if not (said.isascii() and said.isdigit() and len(said) <= 16):
            raise self._tensor_error(name, f"the {key} of its data is {said!r:.40}")
        return int(said)

    def _value(self, length: int) -> ONNXValue:
        if length > MAX_VALUE:
            raise self._error(f"an input or output takes {length:,} bytes, more than {MAX_VALUE:,}")
        name, kinds = "", {}
        for number, value in self.wire.message(self.reader.take(length)):
            if number == 1 and isinstance(value, bytes):
                name = self._decode(value)
            elif number == 2 and isinstance(value, bytes):
                kinds = {k: v for k, v in self.wire.message(value) if k in _KINDS}
        kind = next(iter(kinds), 0)
        content = kinds.get(kind)
        if kind != 1 or not isinstance(content, bytes):
            return ONNXValue(name, _KINDS.get(kind, ""))
        tensor = dict(self.wire.message(content))
        dtype, shape = tensor.get(1), tensor.get(2)
        known = DTYPES.get(dtype if isinstance(dtype, int) else 0)
        lengths = self._shape(shape) if isinstance(shape, bytes) else None
        return ONNXValue(name, _KINDS[kind], known[0] if known else "", lengths)

    def _shape(self, data: bytes) -> tuple[int | str | None, ...]:
        found = [
            self._length(value)
            for number, value in self.wire.message(data)
            if number == 1 and isinstance(value, bytes)
        ]
        self._check_rank([0] * len(found))
        return tuple(found)

    def _length(self, data: bytes) -> int | str | None:
        """A number, or a name that stands for one; exporters write -1 for what they do not know."""
        said = dict(self.wire.message(data))
        number, name = said.get(1), said.get(2)
        if isinstance(number, int):
            return number if number < MAX_ELEMENTS else None
        return self._decode(name) if isinstance(name, bytes) and name else None

    def _opset(self, length: int) -> None:
        said = dict(self.wire.message(self._short(length, "an operator set")))
        domain, version = said.get(1, b""), said.get(2, 0)
        if isinstance(domain, bytes) and isinstance(version, int):
            self.opsets[self._decode(domain)] = signed(version)
        if len(self.opsets) > MAX_OPSETS:
            raise self._error(f"it names more than {MAX_OPSETS:,} operator sets")

    def _property(self, length: int) -> None:
        """Longer ones are left out: some files carry vocabularies in them."""
        if length <= MAX_TEXT and len(self.metadata) < MAX_PROPERTIES:
            key, text = self._entry(length)
            self.metadata[key] = text

    def _entry(self, length: int) -> tuple[str, str]:
        said = dict(self.wire.message(self._short(length, "an entry of a list of pairs")))
        key, text = said.get(1, b""), said.get(2, b"")
        if not (isinstance(key, bytes) and isinstance(text, bytes)):
            raise self._error("an entry of a list of pairs is no pair of texts")
        return self._decode(key), self._decode(text)

    def _text(self, length: int) -> str:
        return self._decode(self._short(length, "a text"))

    def _short(self, length: int, what: str) -> bytes:
        if length > MAX_TEXT:
            raise self._error(f"{what} claims {length:,} bytes, more than {MAX_TEXT:,}")
        return self.reader.take(length)

    def _decode(self, data: bytes) -> str:
        # A name in another encoding is no reason to refuse a model.
        return self.reader.keep(data.decode("utf-8", errors="replace"), format="onnx")

    def _tensor_error(self, name: str, problem: str) -> FormatError:
        return self._error(f"the tensor {name!r:.120} is wrong: {problem}", tensor=name[:120])

    def _error(self, problem: str, **details: Any) -> FormatError:
        return self.wire.error(problem, **details)
