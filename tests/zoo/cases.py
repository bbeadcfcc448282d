"""The fixed questions of the zoo's animals, and their exact answers."""

import json
from dataclasses import dataclass
from pathlib import Path

ZOO = Path(__file__).parent

Message = dict[str, str]


@dataclass(frozen=True)
class Case:
    """One conversation and what the animal says next, to the letter."""

    name: str
    messages: tuple[Message, ...]
    answer: str

    @property
    def conversation(self) -> list[Message]:
        """The messages with the answer at their end."""
        return [*self.messages, {"role": "assistant", "content": self.answer}]


def chat_answers() -> list[Case]:
    """What tiny-chat knows by heart."""
    rows = json.loads((ZOO / "chat_answers.json").read_text(encoding="utf-8"))
    return [Case(row["name"], tuple(row["messages"]), row["answer"]) for row in rows]
