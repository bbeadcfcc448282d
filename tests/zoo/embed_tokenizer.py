"""tiny-embed's tokenizer: lower-case WordPiece without accents, as BERT's, over 640 tokens."""

import string
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from .embed_repos import write_json

SIZE = 640
POSITIONS = 128
SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
ALPHABET = string.ascii_lowercase + string.digits + string.punctuation
"""Letters that have a token; a word with another one is unknown."""


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """A tokenizer of exactly SIZE tokens, learnt from the texts; every ASCII word can be written with it."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=SPECIAL["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=SIZE,
        special_tokens=list(SPECIAL.values()),
        initial_alphabet=list(ALPHABET),
        limit_alphabet=len(ALPHABET),
        show_progress=False,
    )
    everything = f"0{string.ascii_lowercase}{string.digits}"  # each letter once inside a word
    tokenizer.train_from_iterator([*texts, everything], trainer)
    if (size := tokenizer.get_vocab_size()) != SIZE:
        raise ValueError(f"the texts give {size} tokens, not {SIZE}: more text is needed")
    tokenizer.post_processor = template(tokenizer)
    return tokenizer


def template(tokenizer: Tokenizer) -> processors.TemplateProcessing:
    """A text is `[CLS] text [SEP]`; two are `[CLS] one [SEP] other [SEP]`."""
    ends = [(token, tokenizer.token_to_id(token)) for token in (SPECIAL["cls"], SPECIAL["sep"])]
    return processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=ends,
    )


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """The four files that a BERT repository has."""
    tokenizer.save(str(folder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab()
    lines = sorted(vocabulary, key=vocabulary.__getitem__)
    (folder / "vocab.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    special = {f"{name}_token": token for name, token in SPECIAL.items()}
    settings = special | {
        "do_lower_case": True,
        "model_max_length": POSITIONS,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": "BertTokenizer",
    }
    for name, content in (("special_tokens_map", special), ("tokenizer_config", settings)):
        write_json(folder / f"{name}.json", content)
