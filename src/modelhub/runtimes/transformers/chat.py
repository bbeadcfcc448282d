"""Chat with a causal language model."""

from collections.abc import Sequence
from typing import Any

from transformers import GenerationConfig

from modelhub.errors import ContextTooLong, InvalidInput
from modelhub.facts import Call, Device
from modelhub.runtimes.base import Bundle, Capabilities, Instance
from modelhub.runtimes.serial import SerialInstance
from modelhub.runtimes.transformers.answer import Answer
from modelhub.runtimes.transformers.library import empty_cache, open_model
from modelhub.runtimes.transformers.options import TransformersOptions, context_length
from modelhub.runtimes.transformers.sampling import Usual, usual_of
from modelhub.runtimes.turn import Say
from modelhub.tasks import ChatRequest, Message, Request


def load_chat(bundle: Bundle, device: Device, options: TransformersOptions) -> Instance:
    """The model, loaded."""
    tokenizer, model = open_model("AutoModelForCausalLM", bundle, device, options.dtype)
    own = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    context = context_length(options.n_ctx, own or bundle.model.context_length)
    usual = usual_of(model.generation_config, tokenizer)
    model.generation_config = GenerationConfig()  # else all of the repository's would be added to ours
    return ChatInstance(tokenizer, model, usual, context)


class ChatInstance(SerialInstance):
    """A causal language model."""

    engine = "transformers"

    def __init__(self, tokenizer: Any, model: Any, usual: Usual, context: int) -> None:
        super().__init__(Capabilities(streaming=True, context_length=context), (ChatRequest,))
        self._tokenizer = tokenizer
        self._model: Any = model
        self._usual = usual

    def work(self, request: Request, call: Call, say: Say) -> None:  # noqa: ARG002 - `say` looks at it
        assert isinstance(request, ChatRequest)
        prompt = self._prompt(request.messages)
        tokens = self._tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]
        context = self.capabilities.context_length
        assert context is not None
        if len(tokens) >= context:
            raise ContextTooLong(
                f"the prompt has {len(tokens)} tokens, and the context holds {context}",
                hint="Shorten the messages, or load it with options={'n_ctx': …}, if the model was made "
                "for more.",
                field="messages",
                prompt_tokens=len(tokens),
                context_length=context,
            )
        Answer(self._tokenizer, self._model, self._usual, request, prompt, tokens, say).write(context)

    def _prompt(self, messages: Sequence[Message]) -> str:
        if not self._tokenizer.chat_template:
            raise InvalidInput(
                "messages: the model has no chat template, so it was not trained to chat",
                hint="Take the instruction-tuned model of its family, often named …-Instruct.",
                field="messages",
            )
        turns = [{"role": str(turn.role), "content": turn.content} for turn in messages]
        try:
            return str(
                self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            )
        except Exception as error:  # a template raises what it likes, and so does its sandbox
            raise InvalidInput(
                f"messages: the model's chat template refuses them: {error}", field="messages"
            ) from error

    def release(self) -> None:
        device, self._model = self._model.device.type, None
        empty_cache(device)
