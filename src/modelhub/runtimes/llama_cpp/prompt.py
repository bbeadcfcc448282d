"""From messages to the prompt that the model was trained on: its own template, in a sandbox."""

from collections.abc import Sequence
from typing import Any

from modelhub.errors import InvalidInput, LoadFailed
from modelhub.runtimes.llama_cpp.engine import Engine
from modelhub.tasks import Message


class Template:
    """A model's chat template; ChatML for one that has none, as llama.cpp's server does."""

    def __init__(self, engine: Engine) -> None:
        from llama_cpp.llama_chat_format import CHATML_CHAT_TEMPLATE, Jinja2ChatFormatter

        try:
            self._format = Jinja2ChatFormatter(
                engine.chat_template or CHATML_CHAT_TEMPLATE,
                eos_token=engine.special("eos"),
                bos_token=engine.special("bos"),
            )
        except Exception as error:  # jinja2's, of a template that is none
            raise LoadFailed(f"the model's chat template cannot be read: {error}") from error

    def prompt(self, messages: Sequence[Message]) -> str:
        """The text that the model goes on with.

        Raises:
            InvalidInput: when the template refuses the messages.
        """
        turns: list[Any] = [{"role": str(turn.role), "content": turn.content} for turn in messages]
        try:
            return str(self._format(messages=turns).prompt)
        except Exception as error:  # a template raises what it likes, and so does the sandbox
            raise InvalidInput(
                f"messages: the model's chat template refuses them: {error}", field="messages"
            ) from error
