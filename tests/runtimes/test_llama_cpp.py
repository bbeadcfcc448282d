"""llama-cpp-python: the contract, the zoo to the letter, and what it shares with the server engine."""

import gc
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from modelhub.errors import (
    ContextTooLong,
    FormatError,
    InvalidInput,
    LoadFailed,
    RuntimeNotInstalled,
)
from modelhub.facts import Call, Device
from modelhub.runtimes import Bundle, Instance, Parts, Runtimes, SharedParts
from modelhub.runtimes.llama_cpp import LlamaCppRuntime
from modelhub.runtimes.llama_cpp.prompt import Template, opens_thought
from modelhub.runtimes.llama_server import LlamaServerRuntime
from modelhub.runtimes.testing import LIVENESS, Case, ChatContract, Subject
from modelhub.tasks import FinishReason, Request, chat_request
from tests.runtimes.random_gguf import TEMPLATE, write_random_gguf
from tests.runtimes.zoo import CONTEXT, bundle, chat_bundle, on_another_device
from tests.zoo.repos import chat_answers

pytest.importorskip("llama_cpp", reason="the llama extra is not installed")

ONE_THREAD = {"n_threads": 1}


def zoo(precision: str = "q8_0", **options: object) -> Subject:
    return Subject(LlamaCppRuntime(), chat_bundle(precision), ONE_THREAD | options)


def babbler(path: Path, **options: object) -> Subject:
    return Subject(LlamaCppRuntime(), bundle(path.parent, path.name), ONE_THREAD | options)


class FailingLlamaCpp(LlamaCppRuntime):
    """Its engine fails at the second batch."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        instance: Any = super().load(bundle, device, options, parts)
        decode = instance._engine.decode
        done: list[int] = []

        def fail(tokens: Sequence[int]) -> None:
            if done:
                raise RuntimeError("the tensor is a teapot")
            done.append(1)
            decode(tokens)

        instance._engine.decode = fail
        return instance


class TestLlamaCpp(ChatContract):
    @pytest.fixture(scope="class")
    @classmethod
    def endless(cls, slow_gguf: Path) -> Subject:
        return babbler(slow_gguf)

    @pytest.fixture(scope="class")
    @classmethod
    def endless_request(cls) -> Request:
        return chat_request("Go on.", temperature=0)

    def make_subject(self) -> Subject:
        return zoo()

    def make_cases(self) -> Sequence[Case]:
        return [Case(chat_request(case.messages, temperature=0), case.answer) for case in chat_answers()]

    @pytest.fixture(scope="class")
    @classmethod
    def unreadable(cls, tmp_path_factory: pytest.TempPathFactory) -> Subject:
        folder = tmp_path_factory.mktemp("truncated")
        path = write_random_gguf(folder / "short.gguf", context=512)
        path.write_bytes(path.read_bytes()[:-1000])
        return babbler(path)

    def make_failing(self) -> tuple[Subject, Request, str]:
        subject = Subject(FailingLlamaCpp(), chat_bundle("q8_0"), ONE_THREAD)
        return subject, chat_request("Hi", temperature=0), "a teapot"

    # The same as the other engine

    def test_it_answers_and_counts_as_llama_server_does(
        self, instance: Instance, cases: Sequence[Case]
    ) -> None:
        pytest.importorskip("xllamacpp", reason="the llama-server extra is not installed")
        other = Subject(LlamaServerRuntime(), chat_bundle("q8_0"), ONE_THREAD).load()
        for case in cases:
            assert instance.infer(case.request, Call()) == other.infer(case.request, Call())
        other.close()

    @pytest.mark.parametrize("precision", ["f16", "q4_k_m"])
    def test_other_precisions_and_shards(self, precision: str, cases: Sequence[Case]) -> None:
        instance = zoo(precision).load()
        right = [instance.infer(case.request, Call()).text == case.answer for case in cases]  # type: ignore[attr-defined]
        instance.close()
        assert sum(right) / len(right) >= (1 if precision == "f16" else 0.9)

    def test_a_seed_gives_the_same_draw_again(self, slow: Instance) -> None:
        def draw(seed: int) -> str:
            request = chat_request("Hi", temperature=1.5, top_p=0.99, top_k=0, seed=seed, max_tokens=30)
            return str(slow.infer(request, Call()))

        assert draw(7) == draw(7)
        assert draw(7) != draw(8)

    def test_the_largest_of_every_parameter(self, slow: Instance) -> None:
        request = chat_request(
            "Hi",
            temperature=100,
            top_p=1,
            top_k=1 << 31,
            seed=(1 << 32) - 1,
            max_tokens=1 << 31,
            stop="e",
        )
        assert "e" not in str(slow.infer(request, Call(timeout=LIVENESS)))

    # The context

    def test_the_context_is_the_models_up_to_a_default(self, instance: Instance, slow: Instance) -> None:
        assert instance.capabilities.context_length == CONTEXT
        assert slow.capabilities.context_length == 8192

    def test_a_prompt_longer_than_the_context(self) -> None:
        instance = zoo(n_ctx=300).load()
        assert instance.capabilities.context_length == 512
        with pytest.raises(ContextTooLong, match="512") as caught:
            instance.infer(chat_request("river " * 600), Call())
        assert caught.value.details["context_length"] == 512
        instance.close()

    def test_an_answer_that_fills_the_context_ends_there(self, tmp_path: Path) -> None:
        instance = babbler(write_random_gguf(tmp_path / "small.gguf", context=256)).load()
        reply: Any = instance.infer(chat_request("Hi", temperature=0), Call())
        assert reply.finish_reason is FinishReason.LENGTH
        assert reply.usage.total_tokens == 256
        instance.close()

    @pytest.mark.parametrize(
        "options",
        [{"n_ctx": CONTEXT + 1}, {"n_ctx": 8}, {"n_threads": 0}, {"n_batch": 1}, {"n_ctx": "x"}],
    )
    def test_options_out_of_range(self, options: dict[str, object]) -> None:
        with pytest.raises(InvalidInput, match=next(iter(options))):
            zoo(**options).load()

    def test_a_prompt_in_several_batches(self, cases: Sequence[Case]) -> None:
        instance = zoo(n_batch=3).load()
        assert [str(instance.infer(case.request, Call())) for case in cases] == [
            case.answer for case in cases
        ]
        instance.close()

    @pytest.mark.parametrize("begins", [False, True])
    @pytest.mark.parametrize("written", ["", "{{ bos_token }}"])
    def test_the_token_that_begins_a_text_is_there_once(
        self, tmp_path: Path, begins: bool, written: str
    ) -> None:
        pytest.importorskip("xllamacpp", reason="the llama-server extra is not installed")
        path = tmp_path / "begins.gguf"
        write_random_gguf(path, context=512, begins=begins, template=written + TEMPLATE)
        request, said = chat_request("Hi", temperature=0, max_tokens=8), []
        for runtime in (LlamaCppRuntime(), LlamaServerRuntime()):
            instance = Subject(runtime, bundle(tmp_path, path.name), ONE_THREAD).load()
            said.append(instance.infer(request, Call()))
            instance.close()
        assert said[0] == said[1]

    # What it refuses

    def test_only_the_cpu(self, subject: Subject) -> None:
        cuda = on_another_device("cuda")
        found = subject.bundle
        assert "cuda:0" in subject.runtime.supports(found.model, found.variant, cuda).reason
        with pytest.raises(InvalidInput, match="cuda:0"):
            subject.runtime.load(found, cuda, {}, SharedParts())

    def test_without_its_library(self, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(LlamaCppRuntime, "requires", ("no_such_engine",))
        with pytest.raises(RuntimeNotInstalled) as caught:
            subject.load()
        assert 'pip install "modelhub[llama]"' in caught.value.hint

    def test_an_architecture_that_it_does_not_know(self, tmp_path: Path, capfd: Any) -> None:
        path = write_random_gguf(tmp_path / "new.gguf", context=512)
        path.write_bytes(path.read_bytes().replace(b"llama", b"lxama"))
        with pytest.raises(LoadFailed, match="unknown model architecture: 'lxama'") as caught:
            babbler(path).load()
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert capfd.readouterr() == ("", "")

    def test_it_prints_nothing(self, cases: Sequence[Case], capfd: Any) -> None:
        instance = zoo().load()
        instance.infer(cases[0].request, Call())
        with pytest.raises(ContextTooLong):
            instance.infer(chat_request("river " * 2000), Call())
        instance.close()
        assert capfd.readouterr() == ("", "")

    # What it holds

    def test_an_instance_nobody_holds_is_unloaded(self, subject: Subject) -> None:
        instance: Any = subject.load()
        freed = instance._engine._close
        gone = weakref.ref(instance)
        del instance
        gc.collect()
        assert gone() is None
        assert not freed.alive

    def test_loading_again_and_again_takes_no_more_memory(self, tmp_path: Path) -> None:
        path = write_random_gguf(tmp_path / "large.gguf", context=8192, hidden=512, layers=4)
        size = path.stat().st_size

        def use() -> None:
            instance = babbler(path).load()
            instance.infer(chat_request("Hi", temperature=0, max_tokens=2), Call())
            instance.close()

        use()
        before = resident()
        for _ in range(8):
            use()
        assert resident() - before < 3 * size  # a leak would have taken eight, and the context besides

    # Damage

    def test_a_damaged_header_never_reaches_the_engine(self, tmp_path: Path) -> None:
        path = write_random_gguf(tmp_path / "x.gguf", context=256)
        data = bytearray(path.read_bytes())
        data[8:16] = (1 << 62).to_bytes(8, "little")
        path.write_bytes(data)
        with pytest.raises(FormatError):
            babbler(path).load()

    def test_the_engines_own_reason_is_told(self, unreadable: Subject, capfd: Any) -> None:
        with pytest.raises((LoadFailed, FormatError)) as caught:
            unreadable.load()
        assert "short.gguf" in str(caught.value)
        assert capfd.readouterr() == ("", "")

    def test_the_runtime_is_found(self) -> None:
        view = next(view for view in Runtimes().views() if view.name == "llama_cpp")
        assert view.usable
        server = next(view for view in Runtimes().views() if view.name == "llama_server")
        assert server.priority > view.priority


def resident() -> int:
    """Bytes of this process in memory."""
    import psutil

    return int(psutil.Process().memory_info().rss)


class Engine:
    """What a template needs of one."""

    def __init__(self, template: str | None) -> None:
        self.chat_template = template

    def special(self, name: str) -> str:
        return f"<{name}>"


def template(text: str | None) -> Template:
    return Template(Engine(text))  # type: ignore[arg-type]


def test_a_template_may_refuse_the_messages() -> None:
    strict = template(
        "{% if messages|length > 1 %}{{ raise_exception('one at a time') }}{% endif %}{{ bos_token }}"
    )
    assert strict.prompt(chat_request("Hi").messages) == "<bos>"
    turns = [{"role": role, "content": "x"} for role in ("user", "assistant", "user")]
    with pytest.raises(InvalidInput, match="one at a time"):
        strict.prompt(chat_request(turns).messages)


@pytest.mark.parametrize("text", ["{% if %}", "{{ x", "{% include 'x' %}{% endmacro %}"])
def test_a_template_that_is_none_fails_the_load(text: str) -> None:
    with pytest.raises(LoadFailed, match="chat template"):
        template(text)


@pytest.mark.parametrize(
    "text",
    ["{{ ''.__class__.__mro__ }}", "{{ messages.__init__.__globals__ }}", "{{ messages.append(1) }}"],
)
def test_a_template_runs_in_a_sandbox(text: str) -> None:
    with pytest.raises(InvalidInput, match="refuses"):
        template(text).prompt(chat_request("Hi").messages)


def test_without_a_template_it_is_chatml() -> None:
    assert template(None).prompt(chat_request("Hi").messages).endswith("<|im_start|>assistant\n")


def test_a_prompt_may_begin_a_thought() -> None:
    assert opens_thought("<|assistant|><think>\n")
    assert not opens_thought("<think></think>")
