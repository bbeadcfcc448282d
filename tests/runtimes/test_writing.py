from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.runtimes.writing import Writing, first_stop


def written(pieces: list[str], *stop: str, thinking: bool = False) -> tuple[str, str, bool]:
    """Reasoning, text, and whether a stop text ended it."""
    writing = Writing(stop, thinking=thinking)
    chunks = [chunk for piece in pieces for chunk in writing.feed(piece)]
    chunks += writing.end()
    assert all(chunk.text or chunk.reasoning for chunk in chunks)
    reasoning = "".join(chunk.reasoning for chunk in chunks)
    return reasoning, "".join(chunk.text for chunk in chunks), writing.stopped


def split(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


cuts = st.lists(st.integers(0, 60))


@given(
    st.text(alphabet="ab<think>/ \n", max_size=60),
    cuts,
    st.lists(st.text("ab<", min_size=1, max_size=3)),
)
def test_the_pieces_do_not_matter(text: str, at: list[int], stop: list[str]) -> None:
    assert written(split(text, at), *stop) == written([text], *stop)


@given(st.text(max_size=60).filter(lambda text: not text.lstrip().startswith("<think>")), cuts)
def test_without_stops_and_thoughts_nothing_changes(text: str, at: list[int]) -> None:
    assert written(split(text, at)) == ("", text, False)


@given(st.text("abc", max_size=40), cuts, st.text("abc", min_size=1, max_size=3))
def test_it_ends_before_the_first_stop(text: str, at: list[int], stop: str) -> None:
    cut = first_stop(text, (stop,))
    assert written(split(text, at), stop) == ("", text[:cut], cut is not None)


def test_what_may_be_a_stop_is_held_back_and_nothing_else() -> None:
    writing = Writing(("END",))
    assert [str(chunk) for chunk in writing.feed("one E")] == ["one "]
    assert [str(chunk) for chunk in writing.feed("N")] == []
    assert [str(chunk) for chunk in writing.feed("t")] == ["ENt"]
    assert [str(chunk) for chunk in writing.feed("END of it")] == []
    assert writing.stopped
    assert list(writing.feed("more")) == list(writing.end()) == []


@pytest.mark.parametrize(
    ("text", "thinking", "reasoning", "answer"),
    [
        ("<think>\nhm\n</think>\n\nyes", False, "hm", "yes"),
        ("\n<think>hm</think>yes", False, "hm", "yes"),
        ("hm, well\n</think>\n\nyes ", True, "hm, well", "yes "),
        ("<think></think>yes", False, "", "yes"),
        ("<think>never ends ", False, "never ends", ""),
        ("not <think>a thought</think>", False, "", "not <think>a thought</think>"),
        ("<thinker>", False, "", "<thinker>"),
        ("<thi", False, "", "<thi"),
    ],
)
def test_thoughts(text: str, thinking: bool, reasoning: str, answer: str) -> None:
    for pieces in ([text], list(text)):
        assert written(pieces, thinking=thinking) == (reasoning, answer, False)


def test_a_stop_inside_a_thought_does_not_count() -> None:
    assert written(["<think>a stop b</think>c stop d"], "stop") == ("a stop b", "c ", True)
