"""Reads the documentation's code blocks, headings and links, and runs the blocks of a page.

`python -m tests.docs_support PAGE` runs a page's blocks in order in one process: `python` blocks
share a namespace, `console` blocks run their `$` lines in bash. A block opts out with a comment
right above it: `<!-- not run: reason -->`.
"""

import re
import subprocess
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

RUN = ("python", "console")
SHOWN = ("text", "toml", "json", "")
"""Languages of blocks that are run, and of those that are only looked at."""

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w-]*)\s*$")
_NOT_RUN = re.compile(r"^\s*<!-- not run: (?P<reason>\S.*?) -->\s*$")
_HEADING = re.compile(r"^#{1,6} +(?P<title>.+?) *$")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: the line of its first line of code, its language, why it is not run if so."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None


def pages() -> list[Path]:
    """Every page whose blocks must run."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if fence is None:
            at += 1
            continue
        end = _closing(page, lines, at, fence["ticks"])
        body = [line.removeprefix(fence["indent"]) for line in lines[at + 1 : end]]
        yield Block(page, at + 2, fence["language"], "\n".join(body) + "\n", _opt_out(lines[:at]))
        at = end + 1


def _closing(page: Path, lines: list[str], start: int, ticks: str) -> int:
    for at in range(start + 1, len(lines)):
        if lines[at].strip() == ticks:
            return at
    raise ValueError(f"{page}:{start + 1}: a block that does not end")


def _opt_out(above: list[str]) -> str | None:
    filled = [line for line in above if line.strip()]
    match = _NOT_RUN.match(filled[-1]) if filled else None
    return match["reason"] if match else None


def prose(page: Path) -> Iterator[str]:
    """The lines of a page outside its blocks."""
    ticks = None
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = _FENCE.match(line)
        if ticks is None and fence:
            ticks = fence["ticks"]
        elif ticks is not None and line.strip() == ticks:
            ticks = None
        elif ticks is None:
            yield line


def headings(page: Path) -> list[str]:
    """The titles of a page's headings, as they are written."""
    return [match["title"] for line in prose(page) if (match := _HEADING.match(line))]


def anchors(page: Path) -> set[str]:
    """What `#…` may follow the page's name, as GitHub makes it of the headings."""
    names: set[str] = set()
    for title in headings(page):
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        name, count = slug, 0
        while name in names:
            count += 1
            name = f"{slug}-{count}"
        names.add(name)
    return names


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links."""
    for line in prose(page):
        yield from (match["target"] for match in _LINK.finditer(re.sub(r"`[^`]*`", "``", line)))


def commands(block: Block) -> list[str]:
    """The commands of a `console` block; what they print is there to be read, and is not compared."""
    return [line.removeprefix("$ ") for line in block.text.splitlines() if line.startswith("$ ")]


def run_page(wanted: Iterable[Block]) -> None:
    """Run the blocks in order; what a block raises ends it, with the page's own line in the traceback."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in wanted:
        if block.language == "console":
            for command in commands(block):
                # -x shows the command, on standard error.
                subprocess.run(["bash", "-xc", command], stdin=subprocess.DEVNULL, check=True)
        else:
            # Blank lines before it, so that a traceback shows the line of the page.
            exec(compile("\n" * (block.line - 1) + block.text, str(block.page), "exec"), namespace)


if __name__ == "__main__":
    try:
        run_page(b for b in blocks(Path(sys.argv[1])) if b.language in RUN and b.not_run is None)
    except Exception:  # noqa: BLE001 - printed whole, and the exit status tells
        traceback.print_exc()
        sys.exit(1)
