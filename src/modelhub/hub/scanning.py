"""What picklescan says of a pickle. Advice for people: scanners can be deceived, and have been.

https://github.com/mmaitre314/picklescan; row 4 of the threat table in docs/explanation/security.md.
"""

import io
import logging
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from modelhub.formats import SNIFF_BYTES, Content, sniff

MAX_READ = 4 << 20
"""Bytes of pickles that are looked at, for which the scanner may take a hundred times the memory. A pickle
of weights has a hundred bytes for each tensor; its numbers lie beside it."""

MAX_MEMBERS = 100_000
_SHOWN = 5

# Without any handler its warnings would be printed.
logging.getLogger("picklescan").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Scan:
    """What came of it: `label` is `clean`, `suspicious`, `dangerous`, `unreadable` or `unscanned`; `found`
    is what the pickle would call besides what is known to be harmless, or why it was not scanned.
    """

    label: str
    found: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(self.found[:_SHOWN]) + (" …" if len(self.found) > _SHOWN else "")
        what = f"{self.label} ({shown})" if shown else self.label
        return f"picklescan calls it {what}. That is advice: it allows nothing, and forbids nothing."


def scan_pickle(path: Path) -> Scan:
    """What the scanner says of one file, of which it reads `MAX_READ` bytes at most."""
    try:
        from picklescan import scanner
    except ImportError:
        return Scan("unscanned", ("picklescan is not installed",))
    try:
        with path.open("rb") as file:
            result = scanner.ScanResult([])
            for name, kind, data in _pickles(file):
                result.merge(scanner.scan_bytes(io.BytesIO(data), name, kind))
    except Exception as error:  # noqa: BLE001 - it reads what strangers wrote, and raises what it likes
        return Scan("unreadable", (f"{type(error).__name__}: {error!s:.200}",))
    return _scan(result)


def _pickles(file: BinaryIO) -> Iterator[tuple[str, str | None, bytes]]:
    """The pickles of a file as `torch.save` writes it; of another file, its begin. Each with its name, and
    the suffix by which the scanner knows that PyTorch wrote it.

    Raises:
        ValueError: when there is more of them than is looked at.
    """
    head = file.read(SNIFF_BYTES)
    file.seek(0)
    if sniff(head) is not Content.TORCH:
        yield "pickle", ".bin", file.read(MAX_READ)
        return
    left = MAX_READ
    with zipfile.ZipFile(file) as archive:  # it is read, member by member; nothing is unpacked
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise ValueError(f"it has more than {MAX_MEMBERS:,} members")
        for member in members:
            if member.filename.endswith((".pkl", ".pickle")):
                left -= member.file_size
                if left < 0:
                    raise ValueError(f"its pickles have more than {MAX_READ:,} bytes")
                yield member.filename, None, archive.read(member)


def _scan(result: Any) -> Scan:
    levels = {level: set[str]() for level in ("dangerous", "suspicious")}
    for found in result.globals:
        if found.safety.value in levels:
            levels[found.safety.value].add(f"{found.module}.{found.name}")
    for label, names in levels.items():
        if names:
            return Scan(label, tuple(sorted(names)))
    return Scan("unreadable", ("its opcodes end in an error",)) if result.scan_err else Scan("clean")
