"""How many tokens fit, and what is said when they do not."""

from modelhub.errors import ContextTooLong, InvalidInput

DEFAULT_CONTEXT = 8192
"""Tokens. The cache of a context is allocated in full when a model is loaded, and a model's own
limit (131,072 and more) can take more memory than its weights.
"""

BLOCK = 256
"""llama.cpp rounds a context up to a multiple of this."""


def context_size(asked: int | None, trained: int | None) -> int:
    """Tokens of context to load with.

    Raises:
        InvalidInput: for more than the model was trained for.
    """
    if asked is None:
        return min(trained or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
    if trained is not None and asked > trained:
        raise InvalidInput(
            f"n_ctx: the model was trained for {trained} tokens, not {asked}",
            hint=f"Pass at most n_ctx={trained}.",
            field="n_ctx",
        )
    return min(rounded(asked), trained or rounded(asked))


def rounded(n_ctx: int) -> int:
    """What llama.cpp makes of it."""
    return -(-n_ctx // BLOCK) * BLOCK


def prompt_too_long(tokens: int | None, context: int | None) -> ContextTooLong:
    """A chat's prompt leaves no room for an answer."""
    return ContextTooLong(
        f"the prompt has {tokens} tokens, and the context holds {context}",
        hint="Shorten the messages, or load it with options={'n_ctx': …}, if the model was trained for more.",
        field="messages",
        prompt_tokens=tokens,
        context_length=context,
    )
