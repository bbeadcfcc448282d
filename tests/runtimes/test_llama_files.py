"""What of a GGUF header is refused because llama.cpp would end the whole process at it."""

from pathlib import Path

import pytest

from modelhub.errors import LoadFailed
from modelhub.runtimes.llama.files import check_headers
from tests.runtimes.random_gguf import write_random_gguf


def header(folder: Path, layers: int = 2, **numbers: int) -> Path:
    path = write_random_gguf(folder / "x.gguf", context=256, **numbers)
    key = b"llama.block_count"
    data = path.read_bytes()
    at = data.index(key) + len(key) + 4  # behind the type
    path.write_bytes(data[:at] + layers.to_bytes(4, "little") + data[at + 4 :])
    return path


@pytest.mark.parametrize("layers", [0, 513, (1 << 32) - 1])
def test_layers_that_cannot_be(tmp_path: Path, layers: int) -> None:
    with pytest.raises(LoadFailed, match=f"x.gguf says it has {layers} layers"):
        check_headers((header(tmp_path, layers),))


@pytest.mark.parametrize(
    ("experts", "used"), [(None, 1), (0, 1), (4, 5), (4, 0), (4, None), (513, 2), ((1 << 32) - 1, 1)]
)
def test_experts_that_cannot_be(tmp_path: Path, experts: int | None, used: int | None) -> None:
    numbers = {"expert_count": experts, "expert_used_count": used}
    given = {name: number for name, number in numbers.items() if isinstance(number, int)}
    with pytest.raises(LoadFailed, match="experts"):
        check_headers((header(tmp_path, **given),))


@pytest.mark.parametrize(("experts", "used"), [(0, 0), (1, 0), (1, 1), (4, 1), (4, 4), (512, 8)])
def test_experts_that_can_be(tmp_path: Path, experts: int, used: int) -> None:
    check_headers((header(tmp_path, expert_count=experts, expert_used_count=used),))


@pytest.mark.parametrize("layers", [1, 512])
def test_layers_that_can_be(tmp_path: Path, layers: int) -> None:
    check_headers((header(tmp_path, layers),))
