import io

from rich.console import Console
from rich.progress import Progress as RichProgress

from modelhub.facts import Progress
from modelhub.progress import Bars, reporter


def bars(out):
    return Bars(lambda: RichProgress(console=Console(file=out, force_terminal=True, width=80)))


def test_a_bar_a_stage_and_none_without_work():
    out = io.StringIO()
    with bars(out) as show:
        show(Progress(stage="metadata", done=0, total=0))
    assert out.getvalue() == ""
    with bars(out) as show:
        show(Progress(stage="fetch", done=5, total=10, item="a.gguf"))
        show(Progress(stage="fetch", done=10, total=10, item="a.gguf"))
    assert "fetch" in out.getvalue()
    assert "100%" in out.getvalue()


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
    with reporter(None) as show:
        assert show is None or callable(show)
