"""What llama.cpp does by either of its runtimes, beyond the contract."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from modelhub.errors import ContextTooLong, FormatError, InvalidInput, LoadFailed, RuntimeNotInstalled
from modelhub.facts import Call
from modelhub.runtimes import Instance, Runtime, SharedParts, find_device
from modelhub.runtimes.testing import LIVENESS, Case, ChatContract, Subject
from modelhub.tasks import FinishReason, Request, chat_request
from tests.runtimes.random_gguf import write_random_gguf
from tests.runtimes.zoo import CONTEXT, bundle, chat_bundle, chat_folder, on_another_device
from tests.zoo.repos import chat_answers

ONE_THREAD = {"n_threads": 1}
"""Two would spin against each other on a machine that is busy."""


class LlamaContract(ChatContract):
    """Inherit it for a runtime of llama.cpp."""

    runtime: type[Runtime]
    extra: str
    """That installs it."""

    @classmethod
    def zoo(cls, precision: str = "q8_0", **options: object) -> Subject:
        """The zoo's chat model."""
        return Subject(cls.runtime(), chat_bundle(precision), ONE_THREAD | options)

    @classmethod
    def babbler(cls, path: Path, **options: object) -> Subject:
        """A model of any file."""
        return Subject(cls.runtime(), bundle(path.parent, path.name), ONE_THREAD | options)

    def make_subject(self) -> Subject:
        return self.zoo()

    def make_cases(self) -> Sequence[Case]:
        return [Case(chat_request(case.messages, temperature=0), case.answer) for case in chat_answers()]

    @pytest.fixture(scope="class")
    @classmethod
    def endless(cls, slow_gguf: Path) -> Subject:
        return cls.babbler(slow_gguf)

    @pytest.fixture(scope="class")
    @classmethod
    def endless_request(cls) -> Request:
        return chat_request("Go on.", temperature=0)

    @pytest.fixture(scope="class")
    @classmethod
    def unreadable(cls, tmp_path_factory: pytest.TempPathFactory) -> Subject:
        path = write_random_gguf(tmp_path_factory.mktemp("short") / "short.gguf", context=512)
        path.write_bytes(path.read_bytes()[:-1000])
        return cls.babbler(path)

    # What it knows

    @pytest.mark.parametrize("precision", ["f16", "q4_k_m"])
    def test_other_precisions_and_shards(self, precision: str, cases: Sequence[Case]) -> None:
        instance = self.zoo(precision).load()
        right = [str(instance.infer(case.request, Call())) == case.answer for case in cases]
        instance.close()
        assert sum(right) / len(right) >= (1 if precision == "f16" else 0.9)

    def test_a_seed_gives_the_same_draw_again(self, slow: Instance) -> None:
        def draw(seed: int) -> str:
            request = chat_request("Hi", temperature=1.5, top_p=0.99, top_k=0, seed=seed, max_tokens=30)
            return str(slow.infer(request, Call()))

        assert draw(7) == draw(7)
        assert draw(7) != draw(8)

    def test_the_largest_of_every_parameter(self, slow: Instance) -> None:
        largest = {"temperature": 100, "top_p": 1, "top_k": 1 << 31, "seed": (1 << 32) - 1}
        request = chat_request("Hi", max_tokens=1 << 31, stop="e", **largest)
        assert "e" not in str(slow.infer(request, Call(timeout=LIVENESS)))

    # The context

    def test_the_context_is_the_models_up_to_a_default(self, instance: Instance, slow: Instance) -> None:
        assert instance.capabilities.context_length == CONTEXT
        assert slow.capabilities.context_length == 8192

    def test_a_prompt_longer_than_the_context(self) -> None:
        instance = self.zoo(n_ctx=300).load()
        assert instance.capabilities.context_length == 512
        with pytest.raises(ContextTooLong, match="512") as caught:
            instance.infer(chat_request("river " * 600), Call())
        assert caught.value.details["context_length"] == 512
        assert caught.value.details["prompt_tokens"] > 512
        instance.close()

    def test_an_answer_that_fills_the_context_ends_there(self, tmp_path: Path) -> None:
        instance = self.babbler(write_random_gguf(tmp_path / "small.gguf", context=256)).load()
        reply: Any = instance.infer(chat_request("Hi", temperature=0), Call())
        instance.close()
        assert reply.finish_reason is FinishReason.LENGTH
        assert reply.usage.total_tokens == 256

    @pytest.mark.parametrize(
        "options",
        [{"n_ctx": CONTEXT + 1}, {"n_ctx": 8}, {"n_threads": 0}, {"n_batch": 1}, {"n_ctx": "x"}],
    )
    def test_options_out_of_range(self, options: dict[str, object]) -> None:
        with pytest.raises(InvalidInput, match=next(iter(options))):
            self.zoo(**options).load()

    @pytest.mark.parametrize("n_batch", [2, 3])
    def test_a_prompt_in_several_batches(self, cases: Sequence[Case], n_batch: int) -> None:
        instance = self.zoo(n_batch=n_batch).load()
        answers = [str(instance.infer(case.request, Call())) for case in cases[:3]]
        instance.close()
        assert answers == [case.answer for case in cases[:3]]

    # What it refuses

    def test_only_the_cpu(self, subject: Subject) -> None:
        cuda = on_another_device("cuda")
        found = subject.bundle
        assert "cuda:0" in subject.runtime.supports(found.model, found.variant, cuda).reason
        with pytest.raises(InvalidInput, match="cuda:0"):
            subject.runtime.load(found, cuda, {}, SharedParts())

    def test_another_format_is_not_supported(self, subject: Subject) -> None:
        other = subject.bundle.variant.model_copy(update={"format": "onnx"})
        assert not subject.runtime.supports(subject.bundle.model, other, find_device("cpu")).ok

    def test_without_its_library(self, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(self.runtime, "requires", ("no_such_engine",))
        with pytest.raises(RuntimeNotInstalled) as caught:
            subject.load()
        assert f'pip install "modelhub[{self.extra}]"' in caught.value.hint

    def test_a_variant_without_weights(self, tmp_path: Path) -> None:
        (tmp_path / "README.md").write_text("nothing here")
        with pytest.raises(LoadFailed, match=r"no \.gguf file"):
            self.babbler(tmp_path / "README.md").load()

    # Damage

    def test_a_damaged_header_never_reaches_the_engine(self, tmp_path: Path) -> None:
        path = write_random_gguf(tmp_path / "x.gguf", context=256)
        data = bytearray(path.read_bytes())
        data[8:16] = (1 << 62).to_bytes(8, "little")
        path.write_bytes(data)
        with pytest.raises(FormatError):
            self.babbler(path).load()

    @pytest.mark.parametrize("most", [5000, None])
    def test_a_file_that_is_cut_off(self, tmp_path: Path, most: int | None) -> None:
        whole = (chat_folder() / "zoo-chat-q8_0.gguf").read_bytes()
        (tmp_path / "cut.gguf").write_bytes(whole[: most or len(whole) // 2])
        with pytest.raises((FormatError, LoadFailed), match="cut"):
            self.babbler(tmp_path / "cut.gguf").load()

    def test_the_engines_own_reason_is_told(self, tmp_path: Path, capfd: Any) -> None:
        path = write_random_gguf(tmp_path / "new.gguf", context=512)
        path.write_bytes(path.read_bytes().replace(b"llama", b"lxama"))
        with pytest.raises(LoadFailed, match="unknown model architecture: 'lxama'") as caught:
            self.babbler(path).load()
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert capfd.readouterr() == ("", "")

    def test_it_prints_nothing(self, cases: Sequence[Case], capfd: Any) -> None:
        instance = self.zoo().load()
        instance.infer(cases[0].request, Call())
        with pytest.raises(ContextTooLong):
            instance.infer(chat_request("river " * 2000), Call())
        next(instance.stream(cases[0].request, Call()))
        instance.close()
        assert capfd.readouterr() == ("", "")
