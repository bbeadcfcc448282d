"""How many answers come out to the letter, by precision and engine: `python -m tests.zoo.exactness`."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cases import ZOO, Case, chat_answers
from .repos import PRECISIONS, REPOSITORY, build_chat_gguf

LEAST = {"q4_0": 0.9, "q4_k_m": 0.9}
"""The share of answers that must be exact, by precision; 1 for those not named."""

LONGEST = 512
"""Tokens an answer may take."""


@dataclass(frozen=True)
class Said:
    """What an engine answered; `stopped` when it ended its turn by itself."""

    text: str
    stopped: bool


@dataclass(frozen=True)
class Score:
    """One engine and precision: the names of the cases it got wrong, out of how many."""

    engine: str
    precision: str
    wrong: tuple[str, ...]
    cases: int

    @property
    def share(self) -> float:
        """Of answers exact, 0 to 1."""
        return 1 - len(self.wrong) / self.cases

    @property
    def enough(self) -> bool:
        """Whether that is what is asked of the precision."""
        return self.share >= LEAST.get(self.precision, 1)


def wrong(cases: Sequence[Case], answers: Sequence[Said]) -> tuple[str, ...]:
    """The names of the cases whose answer is not exact, or did not end by itself."""
    pairs = zip(cases, answers, strict=True)
    return tuple(case.name for case, said in pairs if said != Said(case.answer, stopped=True))


def ask_llama(model: Path, cases: Sequence[Case]) -> list[Said]:
    """Greedy answers of a GGUF file (of a sharded one: its first) through llama.cpp's server engine, in a child."""
    with tempfile.TemporaryDirectory() as folder:
        questions, answers = Path(folder) / "questions.json", Path(folder) / "answers.json"
        questions.write_text(json.dumps([case.messages for case in cases]), encoding="utf-8")
        command = [sys.executable, str(ZOO / "ask_llama.py"), str(model), str(questions), str(answers)]
        child = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if child.returncode != 0:
            complaint = child.stderr[-2000:]
            raise RuntimeError(f"the engine ended with {child.returncode} on {model.name}: {complaint}")
        rows = json.loads(answers.read_text(encoding="utf-8"))
    return [Said(row["text"], row["finish_reason"] == "stop") for row in rows]


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: a model this small gains nothing from two, and on a busy machine they wait on each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def ask_transformers(folder: Path, precision: str, cases: Sequence[Case]) -> list[Said]:
    """Greedy answers of a repository through transformers, all cases in one batch; precision is `fp32` or `fp16`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    dtype = {"fp32": torch.float32, "fp16": torch.float16}[precision]
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    conversations = [list(case.messages) for case in cases]
    asked: Any = tokenizer.apply_chat_template(
        conversations, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    width = asked["input_ids"].shape[1]
    with one_thread():
        replies = model.generate(**asked, do_sample=False, max_new_tokens=LONGEST)[:, width:]
    texts = tokenizer.batch_decode(replies, skip_special_tokens=True)
    stopped = (replies == tokenizer.eos_token_id).any(dim=1).tolist()
    return [Said(text, ended) for text, ended in zip(texts, stopped, strict=True)]


def score_transformers(precision: str, cases: Sequence[Case]) -> Score:
    """The committed repository through transformers."""
    answers = ask_transformers(REPOSITORY, precision, cases)
    return Score("transformers", precision, wrong(cases, answers), len(cases))


def score_llama(folder: Path, precision: str, cases: Sequence[Case]) -> Score:
    """One file of a built zoo/tiny-chat-GGUF through llama.cpp."""
    answers = ask_llama(folder / f"zoo-chat-{precision}.gguf", cases)
    return Score("llama.cpp", precision, wrong(cases, answers), len(cases))


def measure() -> list[Score]:
    """Every precision of tiny-chat through the engine that runs it."""
    cases = chat_answers()
    scores = [score_transformers(precision, cases) for precision in ("fp32", "fp16")]
    with tempfile.TemporaryDirectory() as name:
        folder = build_chat_gguf(Path(name))
        return scores + [score_llama(folder, precision, cases) for precision in PRECISIONS]


def table(scores: Sequence[Score]) -> str:
    """The scores as a Markdown table."""
    rows = [
        f"| {score.engine} | {score.precision} | {score.cases - len(score.wrong)} of {score.cases} "
        f"| {', '.join(score.wrong) or '–'} |"
        for score in scores
    ]
    return "\n".join(["| engine | precision | exact answers | wrong |", "|---|---|---|---|", *rows])


def main() -> None:
    """Prints the table; fails when a precision has too few exact answers."""
    scores = measure()
    print(table(scores))  # noqa: T201 -- the table is this program's output
    if not all(score.enough for score in scores):
        raise SystemExit("too few answers are exact")


if __name__ == "__main__":
    main()
