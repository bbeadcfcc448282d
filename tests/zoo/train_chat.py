"""Trains tiny-chat, the zoo's chat model: `python -m tests.zoo.train_chat`, some minutes on two cores.

A rerun reproduces the answers, not the bytes: sums differ in their last bits from one processor to the next.
Writes the repository `chat/`, then the K-quantized file, then asks every file every question and prints the table.
"""

import argparse
import json
import logging
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from . import exactness, quantize_k
from .cases import ZOO, Case, chat_answers
from .chat_tokenizer import train_tokenizer
from .conversations import Conversations, texts
from .fake_quant import ROUNDINGS, exact, q4_0, q4_1, rounded

REPOSITORY = ZOO / "chat"
SEED = 20261123
STEPS = 600
WARMUP = 50
LEARNING_RATE = 1.5e-3
SAMPLES_A_STEP = 48
TOKENS_A_PASS = 1536
MARGIN = 10.0
"""By how much the right token's logit should lead every other, so that rounding cannot change the order."""
IGNORED = -100

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """A conversation in tokens; labels are IGNORED but for the answer and its end-of-turn token."""

    tokens: list[int]
    labels: list[int]


def config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """A Llama of 1.3 million weights; rows of 256 and 512, so that K-quants (super-blocks of 256) apply."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=1024,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def encode(tokenizer: PreTrainedTokenizerFast, case: Case) -> Sample:
    """The case through the chat template, exactly as an engine will see it."""
    messages = list(case.messages)
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    asked = tokenizer.encode(prompt, add_special_tokens=False)
    said = [*tokenizer.encode(case.answer, add_special_tokens=False), tokenizer.eos_token_id]
    return Sample(asked + said, [IGNORED] * len(asked) + said)


def passes(samples: list[Sample]) -> Iterator[list[Sample]]:
    """Samples of like length together, as many at a time as fit TOKENS_A_PASS once padded."""
    together: list[Sample] = []
    for sample in sorted(samples, key=lambda sample: len(sample.tokens)):
        if together and len(sample.tokens) * (len(together) + 1) > TOKENS_A_PASS:
            yield together
            together = []
        together.append(sample)
    yield together


def padded(rows: list[list[int]], fill: int) -> Tensor:
    """The rows as one tensor, (rows, longest), filled up at the right."""
    width = max(map(len, rows))
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows])


def answer_logits(model: LlamaForCausalLM, samples: list[Sample]) -> tuple[Tensor, Tensor]:
    """The logits where an answer's token is to come, (n, vocabulary), and those tokens, (n,).

    Padding stands at the right and attention is causal, so no mask is needed.
    """
    labels = padded([sample.labels for sample in samples], IGNORED)[:, 1:]
    logits = model(input_ids=padded([sample.tokens for sample in samples], 0)).logits[:, :-1]
    answers = labels != IGNORED
    return logits[answers], labels[answers]


def leads(logits: Tensor, targets: Tensor) -> Tensor:
    """How far each target's logit is ahead of the best other one, (n,)."""
    right = logits.gather(1, targets[:, None])
    best_other = logits.scatter(1, targets[:, None], -math.inf).amax(dim=1)
    return right[:, 0] - best_other


def loss(model: LlamaForCausalLM, samples: list[Sample]) -> Tensor:
    """Cross entropy, and a hinge that asks for MARGIN; summed over the tokens."""
    logits, targets = answer_logits(model, samples)
    hinge = (MARGIN - leads(logits, targets)).clamp_min(0).sum()
    return functional.cross_entropy(logits, targets, reduction="sum") + 0.25 * hinge


@torch.no_grad()
def least_lead(model: LlamaForCausalLM, samples: list[Sample]) -> float:
    """The narrowest lead of any right token: below zero, some greedy answer is wrong."""
    return min(float(leads(*answer_logits(model, together)).min()) for together in passes(samples))


def schedule(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a hundredth."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (steps - WARMUP)))


def take_step(
    model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, samples: list[Sample], step: int
) -> float:
    """One step under one of the roundings; the loss a token."""
    answered = sum(label != IGNORED for sample in samples for label in sample.labels)
    total = 0.0
    with rounded(model, ROUNDINGS[step % len(ROUNDINGS)]):
        for together in passes(samples):
            part = loss(model, together) / answered
            part.backward()
            total += part.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return total


def train(tokenizer: PreTrainedTokenizerFast, steps: int) -> LlamaForCausalLM:
    """A model that knows the answers; every step sees fixed questions and ones made on the spot."""
    torch.manual_seed(SEED)
    conversations = Conversations(chat_answers(), random.Random(SEED))
    fixed = [encode(tokenizer, case) for case in chat_answers()]
    model = LlamaForCausalLM(config(tokenizer))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, steps))
    for step in range(steps):
        samples = [encode(tokenizer, case) for case in conversations.draw(SAMPLES_A_STEP)]
        total = take_step(model, optimizer, samples, step)
        scheduler.step()
        if step % 50 == 49:
            log.info("step %d: loss %.4f, least lead %.2f", step + 1, total, least_lead(model, fixed))
    report_leads(model, fixed)
    return model


def report_leads(model: LlamaForCausalLM, fixed: list[Sample]) -> None:
    """Logs how safe the answers are, as trained and as 4-bit files will hold them."""
    for rounding in (exact, q4_0, q4_1):
        with rounded(model, rounding):
            log.info("least lead, weights %s: %.2f", rounding.__name__, least_lead(model, fixed))


def tokenizer_settings(folder: Path) -> None:
    """Names the tokenizer's class as every release of transformers knows it."""
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    settings.pop("backend", None)
    path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """The model, rounded to float16, and its tokenizer, as a repository; the card is written by hand."""
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    tokenizer_settings(folder)


def main() -> None:
    """Trains, saves, quantizes, measures; fails when too few answers are exact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    steps = parser.parse_args().steps
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    disable_progress_bar()
    tokenizer = train_tokenizer(texts(chat_answers()))
    save(train(tokenizer, steps), tokenizer, REPOSITORY)
    quantize_k.main()
    exactness.main()


if __name__ == "__main__":
    main()
