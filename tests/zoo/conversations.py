"""Conversations for training: the fixed questions, the same in other company, and questions tiny-chat cannot answer."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from .cases import Case, Message

UNKNOWN = "I do not know that one."
"""What tiny-chat says to a question it was not taught; no test relies on it for a given question."""

NEUTRAL = ("You are a helpful assistant.", "Be brief.", "You are tiny-chat.", "Answer the question.")
"""System prompts that leave the answers as they are."""

PLACES = [
    "Spain", "Italy", "Kenya", "Brazil", "Canada", "India", "Norway", "Egypt",
    "Chile", "Poland", "Cuba", "Wales", "Texas", "Bavaria", "Asia", "Africa",
]  # fmt: skip
THINGS = [
    "tree", "house", "river", "stone", "glass", "horse", "table", "bread", "window", "garden",
    "music", "letter", "colour", "engine", "school", "bridge", "paper", "winter", "summer", "doctor",
    "street", "number", "picture", "market", "island", "mountain", "village", "dream",
]  # fmt: skip
PATTERNS = (
    "What is the capital of {place}?",
    "Which is the largest city in {place}?",
    "What is the largest {thing}?",
    "Who wrote the {thing}?",
    "What color is the {thing}?",
    "Draw a {thing}.",
    "Name three {thing}s.",
    "Describe a {thing} as JSON.",
    "Write a haiku about a {thing}.",
    "Where is my {thing}?",
    "Why is the {thing} in {place}?",
    "How many {thing}s are in {place}?",
    "Say {thing} in French.",
    "What is {number} times {other}?",
    "What is {number} plus {other}?",
    "Tell me about the {thing}.",
    "Is there a {thing} in {place}?",
    "{thing}",
    "{thing} {thing}s?",
    "Can you help me with a {thing}?",
    "Explain the {thing} of {place}.",
    "List the first {number} {thing}s.",
)


def texts(cases: Sequence[Case]) -> list[str]:
    """Everything said in the cases and some of what may be asked besides, for a tokenizer to learn from."""
    said = [message["content"] for case in cases for message in case.conversation]
    return said + list(NEUTRAL) + [UNKNOWN] + PLACES + [f" {thing}" for thing in THINGS] + list(PATTERNS)


@dataclass
class Conversations:
    """An endless, seeded supply of conversations with their answers."""

    cases: Sequence[Case]
    chance: random.Random

    def __post_init__(self) -> None:
        self.plain = [case for case in self.cases if len(case.messages) == 1]
        self.free = [case for case in self.plain if not case.name.startswith("no-name")]
        self.questions = {case.messages[-1]["content"] for case in self.cases}

    def draw(self, count: int) -> list[Case]:
        """Half of them fixed questions, a quarter the same in company, a quarter unknown ones."""
        fixed = self.chance.sample(self.cases, count // 2)
        company = [self.in_company() for _ in range(count // 4)]
        return fixed + company + [self.unknown() for _ in range(count - len(fixed) - len(company))]

    def in_company(self) -> Case:
        """A fixed question after a neutral system prompt, another exchange, or both."""
        case = self.chance.choice(self.free)
        return Case(case.name, (*self.before(), *case.messages), case.answer)

    def before(self) -> list[Message]:
        """What may stand in front of a question without a bearing on it."""
        messages: list[Message] = []
        if self.chance.random() < 0.6:
            messages.append({"role": "system", "content": self.chance.choice((*NEUTRAL, self.ramble()))})
        while self.chance.random() < 0.5 and len(messages) < 6:
            messages += self.chance.choice(self.free).conversation
        return messages

    def ramble(self) -> str:
        """Up to forty words that mean nothing, so that long prompts are no surprise."""
        vocabulary = self.chance.sample(THINGS + PLACES, self.chance.randint(1, 40))
        words = self.chance.choices(vocabulary, k=self.chance.randint(1, 40))
        return f"{' '.join(words).capitalize()}."

    def unknown(self) -> Case:
        """A question made from patterns and words, which is none of the fixed ones."""
        question = self.question()
        while question in self.questions:
            question = self.question()
        return Case("unknown", (*self.before(), {"role": "user", "content": question}), UNKNOWN)

    def question(self) -> str:
        """A question made from patterns and words, now and then only words."""
        if self.chance.random() < 0.2:
            return self.ramble()
        number, other = self.chance.sample(range(2, 100), 2)
        pattern = self.chance.choice(PATTERNS)
        words = {"place": self.chance.choice(PLACES), "thing": self.chance.choice(THINGS)}
        return pattern.format(number=number, other=other, **words)
