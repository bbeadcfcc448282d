"""PyTorch by the transformers library: the contract, the zoo to the letter, sampling and what it costs."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modelhub.errors import ContextTooLong, InvalidInput
from modelhub.facts import Call, Component, Device, FileKind, MemoryNeed, Model, RepoFile, Variant
from modelhub.refs import RepoPath
from modelhub.runtimes import Bundle, Instance, Parts, find_device
from modelhub.runtimes.testing import Case, ChatContract, Subject, folder_bundle
from modelhub.runtimes.transformers import TransformersRuntime
from modelhub.tasks import FinishReason, Request, chat_request
from tests.runtimes.torch_folders import CHAT, change, copy, subject
from tests.runtimes.zoo import on_another_device
from tests.zoo.repos import chat_answers

torch = pytest.importorskip("torch", reason="no PyTorch for this Python")


class FailingTransformers(TransformersRuntime):
    """Its model fails when it is asked."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        instance: Any = super().load(bundle, device, options, parts)
        instance._model.forward = _fail
        return instance


def _fail(*_: object, **__: object) -> None:
    raise RuntimeError("the tensor is a teapot")


class Endless(TransformersRuntime):
    """Never takes the token that would end an answer, and takes its time for each of them."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        from modelhub.runtimes.transformers.sampling import Usual

        instance: Any = super().load(bundle, device, options, parts)
        instance._usual = Usual()
        instance.capabilities = instance.capabilities.model_copy(update={"context_length": 1 << 20})
        forward = instance._model.forward

        def slowly(*args: Any, **kwargs: Any) -> Any:
            time.sleep(0.02)
            return forward(*args, **kwargs)

        instance._model.forward = slowly
        return instance


class TestTransformers(ChatContract):
    def make_subject(self) -> Subject:
        return subject()

    def make_cases(self) -> Sequence[Case]:
        return [Case(chat_request(case.messages, temperature=0), case.answer) for case in chat_answers()]

    def make_endless(self) -> tuple[Subject, Request]:
        bundle = folder_bundle(CHAT, "text-generation", "safetensors")
        return Subject(Endless(), bundle), chat_request("Go on.", temperature=0)

    @pytest.fixture(scope="class")
    @classmethod
    def unreadable(cls, tmp_path_factory: pytest.TempPathFactory) -> Subject:
        folder = copy(tmp_path_factory.mktemp("cut"))
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        return subject(folder)

    def make_failing(self) -> tuple[Subject, Request, str]:
        bundle = folder_bundle(CHAT, "text-generation", "safetensors")
        return Subject(FailingTransformers(), bundle), chat_request("Hi"), "a teapot"

    # Sampling

    def test_a_seed_gives_the_same_draw_again_and_leaves_pytorchs_alone(
        self, instance: Instance
    ) -> None:
        def draw(seed: int | None) -> str:
            request = chat_request("Hi", temperature=5, top_k=0, top_p=1, seed=seed, max_tokens=30)
            return str(instance.infer(request, Call()))

        before = torch.random.get_rng_state()
        assert draw(7) == draw(7)
        assert draw(7) != draw(8)
        assert draw(None) != draw(None)
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_without_a_word_it_is_as_the_repository_says(
        self, instance: Instance, cases: Sequence[Case]
    ) -> None:
        request = cases[0].request.model_copy(update={"temperature": None})
        assert str(instance.infer(request, Call())) == cases[0].answer

    def test_top_k_of_one_is_the_likeliest(self, instance: Instance, cases: Sequence[Case]) -> None:
        request = cases[0].request.model_copy(update={"temperature": 9.0, "top_k": 1})
        assert str(instance.infer(request, Call())) == cases[0].answer

    # The context

    def test_a_prompt_longer_than_the_context(self, instance: Instance) -> None:
        assert instance.capabilities.context_length == 1024
        with pytest.raises(ContextTooLong, match="the context holds 1024"):
            instance.infer(chat_request("river " * 2000), Call())

    def test_an_answer_that_fills_the_context_ends_there(self) -> None:
        instance: Any = subject(n_ctx=32).load()
        instance._usual = type(instance._usual)()
        reply = instance.infer(chat_request("Hi", temperature=0), Call())
        assert reply.finish_reason is FinishReason.LENGTH
        assert reply.usage.total_tokens == 32
        instance.close()

    def test_a_context_beyond_the_models_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="made for 1024 tokens, not 1025"):
            subject(n_ctx=1025).load()

    # Options and devices

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_it_computes_in_what_was_asked(self, dtype: str) -> None:
        instance: Any = subject(dtype=dtype).load()
        assert instance._model.dtype is getattr(torch, dtype)
        instance.close()

    def test_half_precision_becomes_single_on_the_cpu(self, instance: Any, host: str) -> None:
        if host == "thread":
            assert instance._model.dtype is torch.float32

    def test_options_are_refused_before_anything_is_fetched(self) -> None:
        with pytest.raises(InvalidInput, match="dtype"):
            TransformersRuntime().check_options({"dtype": "int3"})

    def test_what_it_supports(self) -> None:
        bundle, runtime = subject().bundle, TransformersRuntime()
        assert runtime.supports(bundle.model, bundle.variant, on_another_device("cuda")).ok
        assert not runtime.supports(bundle.model, bundle.variant, on_another_device("tpu")).ok
        pickled = bundle.variant.model_copy(update={"format": "pytorch"})
        assert runtime.supports(bundle.model, pickled, find_device("cpu")).ok
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "picklescan", None)
            support = runtime.supports(bundle.model, pickled, find_device("cpu"))
            assert "pip install" in support.reason
        borrowed = bundle.model.model_copy(update={"details": {"code_elsewhere": ["a/b"]}})
        support = runtime.supports(borrowed, bundle.variant, find_device("cpu"))
        assert "of another repository" in support.reason

    def test_nothing_is_printed_or_changed(self, capfd: Any) -> None:
        before = _state()
        instance = subject().load()
        instance.infer(chat_request("Hi", temperature=0), Call())
        instance.close()
        assert capfd.readouterr() == ("", "")
        assert before == _state()

    def test_loads_side_by_side_leave_all_as_it_was(self) -> None:
        before = _state()
        with ThreadPoolExecutor(4) as pool:
            for loaded in pool.map(lambda _: subject(dtype="bfloat16").load(), range(4)):
                loaded.close()
        assert before == _state()


def _state() -> tuple[object, ...]:
    """What of the libraries is the program's to set."""
    import transformers

    logging = transformers.utils.logging
    return (
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.random.get_rng_state().tolist(),
    )


# What the repository says of sampling

CASE = chat_answers()[0]


@pytest.fixture
def as_it_says(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Instance]:
    """The zoo's model with a `generation_config.json` that says more."""
    folder = copy(tmp_path)
    change(folder / "generation_config.json", **request.param)
    instance = subject(folder).load()
    yield instance
    instance.close()


def says(**fields: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("as_it_says", [fields], indirect=True)


def answer(instance: Instance, **params: Any) -> str:
    return str(instance.infer(chat_request(CASE.messages, **params), Call()))


@says(do_sample=True, temperature=9.0, top_k=0)
def test_a_repository_that_draws_is_drawn_from(as_it_says: Instance) -> None:
    drawn = {answer(as_it_says, seed=seed, max_tokens=20) for seed in range(3)}
    assert len(drawn) == 3
    assert answer(as_it_says, temperature=0) == CASE.answer


@says(do_sample=True, temperature=9.0, top_k=1)
def test_its_top_k_holds_where_none_is_asked_for(as_it_says: Instance) -> None:
    assert answer(as_it_says) == CASE.answer
    assert answer(as_it_says, top_k=0, seed=1, max_tokens=20) != CASE.answer


@says(temperature=9.0, top_k=1, num_beams=4, max_new_tokens=1, cache_implementation="static")
def test_how_it_computes_is_not_the_repositorys_to_say(as_it_says: Instance) -> None:
    assert answer(as_it_says) == CASE.answer


@says(repetition_penalty=1e6)
def test_its_penalty_for_repetition_holds(as_it_says: Instance) -> None:
    assert answer(as_it_says, max_tokens=20) != CASE.answer


@says(eos_token_id=[500, 501])
def test_the_tokenizers_own_end_is_one_too(as_it_says: Instance) -> None:
    assert answer(as_it_says) == CASE.answer


def test_the_coldest_draw_is_the_likeliest(as_chat: Instance) -> None:
    assert answer(as_chat, temperature=1e-40) == CASE.answer


@pytest.fixture(scope="module")
def as_chat() -> Iterator[Instance]:
    instance = subject().load()
    yield instance
    instance.close()


def test_characters_come_out_whole(as_chat: Any) -> None:
    from modelhub.runtimes.transformers.answer import Text

    said = "na\u00efve \U0001f98a  \u65e5\u672c\nx"
    tokenizer = as_chat._tokenizer
    tokens = tokenizer(said, add_special_tokens=False)["input_ids"]
    text = Text(tokenizer)
    pieces = [text.add(token) for token in tokens]
    assert len(tokens) > len(said)
    assert not any("\ufffd" in piece for piece in pieces)
    assert "".join(pieces) + text.end() == said
    broken = Text(tokenizer)
    assert "".join(map(broken.add, tokens[:3])) + broken.end() == "na\ufffd"


# Templates


def test_a_model_without_a_template_does_not_chat(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    (folder / "chat_template.jinja").unlink()
    instance = subject(folder).load()
    with pytest.raises(InvalidInput, match="no chat template"):
        instance.infer(chat_request("Hi"), Call())
    instance.close()


def test_a_template_may_refuse_the_messages(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    (folder / "chat_template.jinja").write_text("{{ raise_exception('not like this') }}")
    instance = subject(folder).load()
    with pytest.raises(InvalidInput, match="not like this"):
        instance.infer(chat_request("Hi"), Call())
    instance.close()


def described(task: str = "text-generation", **details: int) -> Model:
    """A model of 1,000 bytes of which a header counts 900 as tensors."""
    files = (RepoFile(path=RepoPath("model.safetensors"), size=1000, kind=FileKind.MODEL),)
    part = Component(name="model", repo="a/b", commit="0" * 40, files=files, format="safetensors")
    variant = Variant(name="fp16", format="safetensors", precision="fp16", components=(part,))
    return Model(
        name="m",
        task=task,
        category="llm",
        context_length=1000,
        details={**details, "tensor_bytes": {"model.safetensors": 900}},
        variants=(variant,),
    )


def need(model: Model) -> MemoryNeed:
    footprint = TransformersRuntime().footprint(model, model.variants[0], find_device("cpu"), {})
    assert footprint.need is not None
    return footprint.need


def test_a_cache_of_unknown_size_is_not_said_to_be_none() -> None:
    found = need(described(embedding_length=64))
    assert [part.name for part in found.parts] == ["weights", "overhead"]
    assert found.of("weights") == 1800
    assert found.of("overhead") == 360 + (1 << 29)
    assert str(found).endswith("(a fifth and 537 MB), by the files' sizes")


def test_an_embedder_keeps_nothing() -> None:
    found = need(described("feature-extraction", layers=2, kv_heads=2, key_length=64, value_length=64))
    assert found.of("cache") == 0
    assert "cache 0 B (no cache)" in str(found)
    assert str(found).endswith("by the weights' headers")


def test_its_memory_is_predicted_in_what_it_computes() -> None:
    model = described(layers=2, kv_heads=2, key_length=64, value_length=64)
    part = Component(name="model", repo="a/b", commit="0" * 40, files=(), format="safetensors")
    variant = Variant(name="fp16", format="safetensors", precision="fp16", components=(part,))
    runtime, cpu = TransformersRuntime(), find_device("cpu")
    single = runtime.footprint(model, variant, cpu, {}).total
    half = runtime.footprint(model, variant, cpu, {"dtype": "float16"}).total
    assert single - half == 2 * 2 * (64 + 64) * 1000 * 2 * 11 // 10
