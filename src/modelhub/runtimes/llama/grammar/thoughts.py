"""What a model thinks before it answers: no schema bounds it."""

from collections.abc import Iterator, Mapping
from enum import Enum

OPEN = "<think>"
CLOSE = "</think>"

_REST = "thought"


class Thought(Enum):
    """Whether there is a thought before an answer."""

    NONE = "none"
    MAY = "may"
    BEGUN = "begun"

    @classmethod
    def after(cls, prompt: str, *, thinks: bool) -> "Thought":
        """What comes after a prompt, which may have begun a thought; `thinks` if the model's chat template
        knows of thoughts.
        """
        if prompt.rstrip().endswith(OPEN):
            return cls.BEGUN
        return cls.MAY if thinks else cls.NONE

    def before(self, answer: str) -> str:
        """The expression of a grammar that has the thought before the expression of the answer."""
        if self is Thought.BEGUN:
            return f"{_REST} ({answer})"
        if self is Thought.MAY:
            return f'("{OPEN}" {_REST})? ({answer})'
        return answer

    @property
    def rules(self) -> Mapping[str, str]:
        """The rules that `before` needs."""
        return {} if self is Thought.NONE else dict(_rest())


def _rest() -> Iterator[tuple[str, str]]:
    """The thought up to its end: a rule for each count of letters of the end that have come just now. Its
    first letter is in it once, so with another one all begins anew.
    """
    names = [_REST, *(f"{_REST}-{count}" for count in range(1, len(CLOSE)))]
    for count, letter in enumerate(CLOSE):
        last = count == len(CLOSE) - 1
        on = f'"{letter}" ' + (r"[ \t\r\n]*" if last else names[count + 1])
        again = f' | "{CLOSE[0]}" {names[1]}' if count else ""
        others = letter if letter == CLOSE[0] else CLOSE[0] + letter
        yield names[count], f"{on}{again} | [^{others}] {_REST}"
