"""tiny-chat's tokenizer: byte-level BPE over 512 tokens, with ChatML's markers as its special ones."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from .cases import ZOO

SIZE = 512
TEXT_END, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CONTEXT = 1024


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of exactly SIZE tokens, learnt from the texts.

    Its pre-tokenizer is GPT-2's, which llama.cpp knows by the name `gpt-2`.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=[TEXT_END, TURN_START, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if (size := tokenizer.get_vocab_size()) != SIZE:
        raise ValueError(f"the texts give {size} tokens, not {SIZE}: more text is needed")
    return wrapped(tokenizer)


def wrapped(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """The tokenizer as transformers saves and loads it, chat template included."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=TEXT_END,
        eos_token=TURN_END,
        pad_token=TEXT_END,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=(ZOO / "chat" / "chat_template.jinja").read_text(encoding="utf-8"),
    )
