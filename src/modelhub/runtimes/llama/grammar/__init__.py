"""From a JSON schema to the grammar that an answer is written by, in llama.cpp's notation (GBNF)."""

from modelhub.runtimes.llama.grammar.schema import grammar_of
from modelhub.runtimes.llama.grammar.thoughts import Thought
from modelhub.tasks import ChatRequest

__all__ = ["Thought", "grammar_of", "request_grammar"]


def request_grammar(request: ChatRequest, thought: Thought) -> str | None:
    """The grammar of what a request may be answered by, `None` where any text will do.

    Raises:
        InvalidInput: for a schema that no grammar can be made of.
    """
    wanted = request.response_format
    if wanted is None or wanted.bound is None:
        return None
    return grammar_of(wanted.bound, thought)
