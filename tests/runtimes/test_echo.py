import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import InvalidInput
from modelhub.facts import Call
from modelhub.runtimes import Footprint, Runtimes, SharedParts, find_device
from modelhub.runtimes.echo import answer
from modelhub.runtimes.testing import Case, ChatContract, Subject
from modelhub.tasks import ChatRequest, FinishReason, chat_request
from tests.runtimes.zoo import chat_bundle, on_another_device


class TestEcho(ChatContract):
    # There is no engine in it, and it reads no file.
    test_files_that_cannot_be_read_are_refused = None
    test_an_error_of_the_engine_is_typed_and_kept = None

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> Subject:
        return Subject(Runtimes().load("echo"), chat_bundle())

    @pytest.fixture(scope="class")
    @classmethod
    def cases(cls) -> list[Case]:
        texts = ["Name three rivers.", " two\n lines, blanks kept \n", "Zürich 東京 🦊"]
        return [Case(chat_request(text), text) for text in texts]

    @pytest.fixture(scope="class")
    @classmethod
    def endless(cls) -> Subject:
        return Subject(Runtimes().load("echo"), chat_bundle(), {"delay": 0.05})

    @pytest.fixture(scope="class")
    @classmethod
    def endless_request(cls) -> ChatRequest:
        return chat_request("word " * 2000)

    def test_it_is_never_chosen_by_itself(self, subject: Subject) -> None:
        view = next(view for view in Runtimes().views() if view.name == "echo")
        assert view.explicit
        assert view.usable
        assert view.priority < 0

    def test_it_runs_anywhere(self, subject: Subject) -> None:
        variant = subject.bundle.variant
        assert subject.runtime.supports(subject.bundle.model, variant, on_another_device("cuda")).ok
        assert subject.runtime.footprint(
            subject.bundle.model, variant, find_device("cpu"), {}
        ) == Footprint(total=0)

    def test_the_delay_has_bounds(self, subject: Subject) -> None:
        with pytest.raises(InvalidInput, match="delay"):
            subject.runtime.load(subject.bundle, find_device("cpu"), {"delay": -1}, SharedParts())

    def test_it_answers_the_last_user_message(self, subject: Subject) -> None:
        turns = [
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "no"},
            {"role": "user", "content": "second one"},
            {"role": "assistant", "content": "well"},
        ]
        reply = subject.load().infer(chat_request(turns), Call())
        assert reply.text == "second one"
        assert reply.usage.prompt_tokens == 5


something = st.text(min_size=1).filter(str.strip)


@given(something, st.integers(1, 20))
def test_no_letter_is_lost_and_no_more_words_than_asked(text: str, most: int) -> None:
    words, finish = answer(chat_request(text))
    assert finish is FinishReason.STOP
    assert "".join(words) == text
    cut, _ = answer(chat_request(text, max_tokens=most))
    assert cut == words[:most]


@given(something, st.text(min_size=1, max_size=3))
def test_a_stop_never_appears(text: str, stop: str) -> None:
    words, _ = answer(chat_request(text, stop=stop))
    assert stop not in "".join(words)
    assert text.startswith("".join(words))
