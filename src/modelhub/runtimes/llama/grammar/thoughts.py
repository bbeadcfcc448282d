"""What a model thinks before it answers: no schema bounds it."""

from enum import Enum

OPEN = "<think>"

_REST = '( [^<] | "<"+ ( [^/<] | "/" [^t<] ) )* "<"* "</think>" [ \\n]*'


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
