"""One answer of a causal language model, token by token."""

from collections.abc import Iterator
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.generation import BaseStreamer

from modelhub.runtimes.transformers.sampling import Usual, processors
from modelhub.runtimes.turn import Say
from modelhub.runtimes.writing import Writing
from modelhub.tasks import ChatChunk, ChatRequest, FinishReason, Usage

_UNFINISHED = "\ufffd"


class Answer(BaseStreamer):
    """Hears each token from the library, and stops it when nobody wants more."""

    def __init__(
        self,
        tokenizer: Any,
        model: Any,
        usual: Usual,
        request: ChatRequest,
        prompt: str,
        tokens: list[int],
        say: Say,
    ) -> None:
        self._model = model
        self._usual = usual
        self._request = request
        self._prompt = tokens
        self._say = say
        self._writing = Writing(request.stop, thinking=prompt.rstrip().endswith("<think>"))
        self._text = Text(tokenizer)
        self._written: list[int] = []
        self._left = False

    def write(self, context: int) -> None:
        """Say it all; ends early when nobody wants it."""
        if self._say(None):
            return
        device = self._model.device
        prompt = torch.tensor([self._prompt], device=device)
        with torch.inference_mode():
            self._model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                generation_config=self._how(context),
                logits_processor=processors(self._request, self._usual, device),
                stopping_criteria=StoppingCriteriaList([_Until(self)]),
                streamer=self,
            )
        if self._left or self._tell(self._writing.feed(self._text.end())):
            return
        if not self._tell(self._writing.end()):
            usage = Usage(prompt_tokens=len(self._prompt), completion_tokens=len(self._written))
            self._say(ChatChunk(finish_reason=self._finish(), usage=usage))

    def _how(self, context: int) -> GenerationConfig:
        room = context - len(self._prompt)
        return GenerationConfig(
            do_sample=False,  # whoever samples does it as a processor, with a generator of its own
            max_new_tokens=min(room, self._request.max_tokens or room),
            eos_token_id=sorted(self._usual.ends) or None,
            pad_token_id=min(self._usual.ends, default=0),
            repetition_penalty=self._usual.repetition_penalty,
            no_repeat_ngram_size=self._usual.no_repeat_ngram_size,
            suppress_tokens=self._usual.suppress_tokens,
        )

    @property
    def over(self) -> bool:
        """Whether nothing more is to be written."""
        return self._left or self._writing.stopped

    def put(self, value: Any) -> None:
        """A token from the library; the first time it is the prompt."""
        if not self._heard_prompt:
            self._heard_prompt = True
            return
        token = int(value.reshape(-1)[-1])
        self._written.append(token)
        if token not in self._usual.ends:
            told = self._tell(self._writing.feed(self._text.add(token)))
            self._left = told or self._say(None)

    _heard_prompt = False

    def end(self) -> None:
        """The library is done."""

    def _tell(self, chunks: Iterator[ChatChunk]) -> bool:
        return any(map(self._say, list(chunks)))

    def _finish(self) -> FinishReason:
        ended = self._writing.stopped or (self._written and self._written[-1] in self._usual.ends)
        return FinishReason.STOP if ended else FinishReason.LENGTH


class _Until(StoppingCriteria):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:  # noqa: ARG002 - the library's signature
        return torch.full((input_ids.shape[0],), self._answer.over, device=input_ids.device)


class Text:
    """Tokens as text, given out when a character is whole.

    A token is read together with those before it, since what it says may depend on them.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._tokens: list[int] = []
        self._from = self._read = 0

    def add(self, token: int) -> str:
        """What can be given out now."""
        self._tokens.append(token)
        said, whole = self._decode(self._read), self._decode(None)
        if len(whole) <= len(said) or whole.endswith(_UNFINISHED):
            return ""
        self._from, self._read = self._read, len(self._tokens)
        return whole[len(said) :]

    def end(self) -> str:
        """What is left: a character that never became whole."""
        said, whole = self._decode(self._read), self._decode(None)
        return whole[len(said) :]

    def _decode(self, end: int | None) -> str:
        tokens = self._tokens[self._from : end]
        text: str = self._tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text
