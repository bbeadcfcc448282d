"""llama-cpp-python: the contract, the zoo to the letter, and what it shares with the server engine."""

import gc
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from modelhub.errors import (
    FormatError,
    InvalidInput,
    LoadFailed,
)
from modelhub.facts import Call, Device
from modelhub.runtimes import Bundle, Instance, Parts, Runtimes
from modelhub.runtimes.llama_cpp import LlamaCppRuntime
from modelhub.runtimes.llama_cpp.prompt import Template
from modelhub.runtimes.llama_server import LlamaServerRuntime
from modelhub.runtimes.testing import Case, Subject
from modelhub.tasks import Request, chat_request
from tests.runtimes.llama_contract import ONE_THREAD, LlamaContract
from tests.runtimes.random_gguf import TEMPLATE, write_random_gguf
from tests.runtimes.zoo import bundle, chat_bundle

pytest.importorskip("llama_cpp", reason="the llama extra is not installed")


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


class TestLlamaCpp(LlamaContract):
    runtime = LlamaCppRuntime
    extra = "llama"

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
            instance = self.babbler(path).load()
            instance.infer(chat_request("Hi", temperature=0, max_tokens=2), Call())
            instance.close()

        use()
        before = resident()
        for _ in range(8):
            use()
        assert resident() - before < 3 * size  # a leak would have taken eight, and the context besides

    # Damage

    def test_a_file_that_it_cannot_read_is_named(self, unreadable: Subject, capfd: Any) -> None:
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
