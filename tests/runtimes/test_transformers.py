"""PyTorch by the transformers library: the contract, the zoo to the letter, and what it will not load."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from modelhub.errors import (
    ContextTooLong,
    InvalidInput,
    LoadFailed,
    RemoteCodeRefused,
)
from modelhub.facts import Call, Component, Device, Model, Variant
from modelhub.runtimes import Bundle, Instance, Parts, find_device
from modelhub.runtimes.testing import Case, ChatContract, Subject, folder_bundle
from modelhub.runtimes.transformers import TransformersRuntime
from modelhub.tasks import FinishReason, Request, chat_request
from tests.runtimes.contract import on_another_device
from tests.zoo.repos import chat_answers

torch = pytest.importorskip("torch", reason="no PyTorch for this Python")

CHAT = Path(__file__).parents[1] / "zoo" / "chat"


def subject(folder: Path = CHAT, **options: object) -> Subject:
    return Subject(
        TransformersRuntime(), folder_bundle(folder, "text-generation", "safetensors"), options
    )


def copy(folder: Path) -> Path:
    return Path(shutil.copytree(CHAT, folder / "chat"))


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


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
            _wait(0.02)
            return forward(*args, **kwargs)

        instance._model.forward = slowly
        return instance


def _wait(seconds: float) -> None:
    import time

    time.sleep(seconds)


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
        assert "no pickles" in runtime.supports(bundle.model, pickled, find_device("cpu")).reason
        borrowed = bundle.model.model_copy(update={"details": {"code_elsewhere": ["a/b"]}})
        support = runtime.supports(borrowed, bundle.variant, find_device("cpu"))
        assert "of another repository" in support.reason

    def test_nothing_is_printed_or_changed(self, capfd: Any) -> None:
        import transformers

        logging = transformers.utils.logging
        before = (
            logging.get_verbosity(),
            logging.is_progress_bar_enabled(),
            torch.get_num_threads(),
            torch.get_default_dtype(),
        )
        instance = subject().load()
        instance.infer(chat_request("Hi", temperature=0), Call())
        instance.close()
        assert capfd.readouterr() == ("", "")
        assert before == (
            logging.get_verbosity(),
            logging.is_progress_bar_enabled(),
            torch.get_num_threads(),
            torch.get_default_dtype(),
        )


# What it will not load


def test_damaged_weights_never_reach_the_library(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[:8] = (1 << 40).to_bytes(8, "little")
    weights.write_bytes(data)
    with pytest.raises(LoadFailed):
        subject(folder).load()


def test_a_model_that_lacks_weights_is_none(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    change(folder / "config.json", num_hidden_layers=3)
    with pytest.raises(LoadFailed, match=r"missing keys model\.layers\.2"):
        subject(folder).load()


def test_weights_of_another_shape(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    change(folder / "config.json", intermediate_size=256)
    with pytest.raises(LoadFailed) as caught:
        subject(folder).load()
    assert caught.value.__cause__ is not None or "mismatched" in caught.value.message


@pytest.mark.parametrize(
    ("name", "content"),
    [("config.json", b"{"), ("config.json", b"[]"), ("tokenizer.json", b"{}"), ("config.json", b"{}")],
)
def test_damaged_configurations(tmp_path: Path, name: str, content: bytes) -> None:
    folder = copy(tmp_path)
    (folder / name).write_bytes(content)
    with pytest.raises(LoadFailed):
        subject(folder).load()


def test_a_missing_shard(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = copy(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    (folder / "model.safetensors").unlink()
    where = {}
    for number, some in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in some}, folder / file, {"format": "pt"})
        where |= dict.fromkeys(some, file)
    index = {"metadata": {}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    whole = subject(folder).load()
    case = chat_answers()[0]
    assert str(whole.infer(chat_request(case.messages, temperature=0), Call())) == case.answer
    whole.close()
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(LoadFailed):
        subject(folder).load()


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    folder, exploded = copy(tmp_path), tmp_path / "exploded"
    torch.save({"model.embed_tokens.weight": Bomb(exploded)}, folder / "pytorch_model.bin")
    subject(folder).load().close()
    (folder / "model.safetensors").unlink()
    with pytest.raises(LoadFailed, match=r"no \.safetensors file"):
        subject(folder).load()
    weights = folder / "model.safetensors"
    shutil.copy(folder / "pytorch_model.bin", weights)
    with pytest.raises(LoadFailed):
        subject(folder).load()
    assert not exploded.exists()


# Code of a repository's own

CODE = """
from pathlib import Path
from transformers import LlamaForCausalLM

Path({canary!r}).touch()

class OwnModel(LlamaForCausalLM):
    pass
"""


@pytest.fixture
def with_code(tmp_path: Path) -> tuple[Path, Path]:
    """A repository whose configuration names code of its own, and the file that this code makes."""
    folder, canary = copy(tmp_path), tmp_path / "ran"
    (folder / "own_model.py").write_text(CODE.format(canary=str(canary)))
    change(folder / "config.json", auto_map={"AutoModelForCausalLM": "own_model.OwnModel"})
    return folder, canary


def test_code_that_nobody_allowed_is_refused(with_code: tuple[Path, Path]) -> None:
    folder, canary = with_code
    with pytest.raises(RemoteCodeRefused, match=r"own_model\.OwnModel") as caught:
        subject(folder).load()
    assert "modelhub allow-code tests/chat" in caught.value.hint
    assert not canary.exists()


def test_code_in_the_tokenizers_configuration_too(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tok.Slow", None]})
    with pytest.raises(RemoteCodeRefused, match=r"tok\.Slow"):
        subject(folder).load()


def allowed(folder: Path) -> Subject:
    bundle = folder_bundle(folder, "text-generation", "safetensors")
    return Subject(
        TransformersRuntime(), Bundle(bundle.model, bundle.variant, bundle.roots, code_allowed=True)
    )


def test_code_that_was_allowed_runs_from_a_folder_of_its_own(with_code: tuple[Path, Path]) -> None:
    folder, canary = with_code
    instance = allowed(folder).load("process")
    case = chat_answers()[0]
    assert str(instance.infer(chat_request(case.messages, temperature=0), Call())) == case.answer
    instance.close()
    assert canary.exists()
    from transformers import dynamic_module_utils

    cache = Path(dynamic_module_utils.HF_MODULES_CACHE)
    assert not list(cache.rglob("own_model.py")) if cache.exists() else True


def test_code_of_another_repository_cannot_be_allowed(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    change(folder / "config.json", auto_map={"AutoModelForCausalLM": "other/repo--own.Model"})
    with pytest.raises(RemoteCodeRefused, match="another repository"):
        allowed(folder).load()


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


def test_its_memory_is_predicted_in_what_it_computes() -> None:
    files = ()
    part = Component(name="model", repo="a/b", commit="0" * 40, files=files, format="safetensors")
    variant = Variant(name="fp16", format="safetensors", precision="fp16", components=(part,))
    model = Model(
        name="m",
        task="text-generation",
        category="llm",
        context_length=1000,
        details={"layers": 2, "kv_heads": 2, "key_length": 64, "value_length": 64},
        variants=(variant,),
    )
    runtime, cpu = TransformersRuntime(), find_device("cpu")
    single = runtime.footprint(model, variant, cpu, {}).total
    half = runtime.footprint(model, variant, cpu, {"dtype": "float16"}).total
    assert single - half == 2 * 2 * (64 + 64) * 1000 * 2 * 11 // 10
