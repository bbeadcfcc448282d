import io
import sys
import types

import pytest
from rich.console import Console

from modelhub.facts import Progress
from modelhub.progress import Bars, NotebookBars, reporter


def shown(*reports):
    """The last frame of the bars, a line each."""
    out = io.StringIO()
    with Bars(Console(file=out, width=100)) as show:
        for report in reports:
            show(report)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_a_bar_a_stage_and_none_without_work():
    assert shown(Progress(stage="metadata", done=0, total=0)) == []
    lines = shown(
        Progress(stage="metadata", done=1, total=1),
        Progress(stage="fetch", done=5_000_000, total=10_000_000, item="a.gguf"),
        Progress(stage="fetch", done=10_000_000, total=10_000_000, item="b.gguf"),
    )
    assert [line.split()[0] for line in lines] == ["metadata", "fetch"]
    assert "10 MB of 10 MB" in lines[1]
    assert lines[1].endswith("b.gguf")


@pytest.mark.parametrize(
    ("report", "count"),
    [
        ({"done": 1200, "total": 3000, "unit": "files"}, "1,200 of 3,000 files"),
        ({"done": 0, "total": 3, "unit": "files"}, "0 of 3 files"),
        ({"done": 1200, "unit": "files"}, "1,200 files"),
        ({"done": 0, "unit": "files"}, ""),
        ({"done": 5_000_000}, "5 MB"),
        ({"done": 0}, ""),
        ({"done": 0, "total": 5_000_000}, "0 B of 5 MB"),
    ],
)
def test_a_count_has_its_unit_and_its_total_if_it_is_known(report, count):
    (line,) = shown(Progress(stage="headers", item="[red]x", **report))
    words = line.replace("\N{BOX DRAWINGS HEAVY HORIZONTAL}", "").replace(
        "\N{BOX DRAWINGS HEAVY LEFT}", ""
    )
    words = words.replace("\N{BOX DRAWINGS HEAVY RIGHT}", "").split()
    assert words[0] == "headers"
    assert words[-1] == "[red]x"
    rest = " ".join(words[1:-1])
    assert rest.startswith(count)
    # Speed and time left: only of what they can be told of.
    speed, left = report.get("unit", "bytes") == "bytes", "total" in report
    assert rest.removeprefix(count).split() == ["?"] * speed + ["-:--:--"] * left


def test_the_bar_of_true_writes_to_standard_error(capfd):
    with reporter(True) as show:
        show(Progress(stage="fetch", done=5_000_000, total=10_000_000, item="weights/" + "x" * 60))
    printed = capfd.readouterr()
    assert "fetch" in printed.err
    assert printed.out == ""


def test_a_function_gets_each_progress_and_false_shows_nothing():
    seen = []
    with reporter(seen.append) as show:
        show(Progress(stage="fetch", done=1))
    assert len(seen) == 1
    with reporter(False) as show:
        assert show is None


def test_left_open_it_shows_a_bar_where_someone_looks():
    with reporter(None, lambda: True) as show:
        assert isinstance(show, Bars)
    with reporter(None, lambda: False) as show:
        assert show is None


def test_nobody_looks_at_a_file(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with reporter(None) as show:
        assert show is None


def test_someone_looks_at_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stderr", Terminal())
    with reporter(None) as show:
        assert isinstance(show, Bars)


def test_a_notebook_has_bars_of_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    assert isinstance(reporter(True), NotebookBars)
    assert isinstance(reporter(None), NotebookBars)
    monkeypatch.delitem(sys.modules, "ipykernel")
    assert isinstance(reporter(True), Bars)


def test_bars_of_tqdm_count_what_is_done():
    out = io.StringIO()
    with NotebookBars(file=out, ascii=True, mininterval=0) as show:
        show(Progress(stage="metadata", done=0, total=0))
        show(Progress(stage="fetch", done=4_000_000, total=10_000_000, item="a.gguf"))
        show(Progress(stage="fetch", done=3_000_000, total=10_000_000, item="a.gguf"))
        show(Progress(stage="fetch", done=10_000_000, total=10_000_000, item="b.gguf"))
        show(Progress(stage="headers", done=2, total=7, unit="files"))
    last = out.getvalue().replace("\r", "\n")
    assert "metadata" not in last
    assert "10.0M/10.0M" in last
    assert "b.gguf" in last
    assert "2/7" in last
