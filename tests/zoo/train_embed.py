"""Trains tiny-embed, the zoo's sentence embedder: `python -m tests.zoo.train_embed`, a minute or two on one core.

A rerun reproduces who is whose neighbour, not the bytes: where two pieces are equally frequent the tokenizers library
takes either, and sums differ in their last bits from one processor to the next.
Writes what a program can write of the repository `embed/`, and fails when a sentence has wrong neighbours.
"""

import argparse
import logging
import random
from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from transformers import BertConfig, BertModel
from transformers.utils.logging import disable_progress_bar

from .cases import chat_answers
from .conversations import texts
from .embed_oracle import Oracle, margin
from .embed_repos import EMBED, pooling_config, write_json
from .embed_texts import embed_labels, embed_texts
from .embed_tokenizer import POSITIONS, SPECIAL, save_tokenizer, train_tokenizer

SEED = 20261124
STEPS = 400
LEARNING_RATE = 1e-3
KIN, SAME, STRANGE = 0.75, 0.9, 0.25
"""Cosines: of two sentences of one group at least KIN, yet below SAME, for they do not say the same; of two others
at most STRANGE."""

LONGEST = 64
"""Tokens of a text that are read; fewer than there are positions, so that a test can tell the two."""

PROMPTS = {"query": "query: ", "document": ""}
"""What may stand before a text; it has the same neighbours behind each."""

MODULES = ("Transformer", "Pooling", "Normalize")

log = logging.getLogger(__name__)


def config(tokenizer: Tokenizer) -> BertConfig:
    """A BERT of 380,000 weights; rows of 128 and 256, so that q8_0 (blocks of 32) applies."""
    return BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=POSITIONS,
        pad_token_id=tokenizer.token_to_id(SPECIAL["pad"]),
    )


class Drawn:
    """The sentences as a step sees them: behind a prompt or not, now and then short of a word."""

    def __init__(self, tokenizer: Tokenizer, chance: random.Random) -> None:
        self.tokenizer = tokenizer
        self.chance = chance

    def batch(self) -> dict[str, Tensor]:
        """All of them, as the model takes them."""
        return encoded(self.tokenizer, [self.varied(text) for text in embed_texts()])

    def varied(self, text: str) -> str:
        """The text behind one of the prompts; a word of a long one may be lost."""
        words = text.split()
        if len(words) > 7 and self.chance.random() < 0.5:
            del words[self.chance.randrange(len(words))]
        return self.chance.choice(list(PROMPTS.values())) + " ".join(words)


def encoded(tokenizer: Tokenizer, lines: Sequence[str]) -> dict[str, Tensor]:
    """The lines as tokens, filled up at the right, with the mask that says so."""
    rows = tokenizer.encode_batch(list(lines))
    width = max(len(row.ids) for row in rows)
    for row in rows:
        row.pad(width)
    ids, mask = (
        torch.tensor([getattr(row, part) for row in rows]) for part in ("ids", "attention_mask")
    )
    return {"input_ids": ids, "attention_mask": mask}


def vectors(model: BertModel, batch: dict[str, Tensor]) -> Tensor:
    """Mean of the tokens' states, length 1: (texts, hidden size)."""
    mask = batch["attention_mask"].unsqueeze(-1)
    states = model(**batch).last_hidden_state * mask
    return functional.normalize(states.sum(dim=1) / mask.sum(dim=1), dim=-1)


def loss(found: Tensor, kin: Tensor) -> Tensor:
    """How far cosines are from where they should be; `kin` says which pairs are of one group."""
    cosines = found @ found.T
    strangers = (cosines - STRANGE).clamp_min(0)[~kin]
    kin = kin & ~torch.eye(len(kin), dtype=torch.bool)
    near = (KIN - cosines).clamp_min(0)[kin]
    too_near = (cosines - SAME).clamp_min(0)[kin]
    # The worst pairs first: a mean over thousands hides the few that are still wrong.
    worst = strangers.topk(32).values.square().mean() + near.topk(32).values.square().mean()
    return strangers.square().mean() + near.square().mean() + too_near.square().mean() + worst


def train(tokenizer: Tokenizer, steps: int) -> BertModel:
    """A model that knows the groups."""
    torch.manual_seed(SEED)
    drawn = Drawn(tokenizer, random.Random(SEED))
    labels = np.array(embed_labels())
    kin = torch.from_numpy(labels[:, None] == labels[None, :])
    model = BertModel(config(tokenizer)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for step in range(steps):
        total = loss(vectors(model, drawn.batch()), kin)
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        if step % 50 == 49:
            log.info("step %d: loss %.4f", step + 1, total.item())
    return model


def save(model: BertModel, tokenizer: Tokenizer) -> None:
    """The model, rounded to float16, and its tokenizer, as sentence-transformers lays them out; the card is written
    by hand.
    """
    model.half().save_pretrained(EMBED)
    save_tokenizer(tokenizer, EMBED)
    folders = ("", *(f"{number}_{kind}" for number, kind in enumerate(MODULES) if number))
    steps = [
        {
            "idx": number,
            "name": str(number),
            "path": folder,
            "type": f"sentence_transformers.models.{kind}",
        }
        for number, (kind, folder) in enumerate(zip(MODULES, folders, strict=True))
    ]
    write_json(EMBED / "modules.json", steps)
    write_json(EMBED / "1_Pooling" / "config.json", pooling_config("mean", model.config.hidden_size))
    write_json(EMBED / "sentence_bert_config.json", {"max_seq_length": LONGEST, "do_lower_case": False})
    described = {"prompts": PROMPTS, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    write_json(EMBED / "config_sentence_transformers.json", described)


def main() -> None:
    """Trains, saves, measures; fails when a sentence has wrong neighbours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    steps = parser.parse_args().steps
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    disable_progress_bar()
    torch.set_num_threads(1)  # a model this small gains nothing from more
    tokenizer = train_tokenizer([*embed_texts(), *PROMPTS.values(), *texts(chat_answers())])
    save(train(tokenizer, steps), tokenizer)
    for name, prompt in PROMPTS.items():
        lead = margin(Oracle().vectors([prompt + text for text in embed_texts()]), embed_labels())
        log.info("margin, prompt %s: %.3f", name, lead)
        if lead <= 0:
            raise SystemExit("a sentence has wrong neighbours")


if __name__ == "__main__":
    main()
