"""A runtime whose module imports its engine."""

from tests.runtimes.broken import engine
from tests.runtimes.fakes.tokens import TokensRuntime


class EagerRuntime(TokensRuntime):
    requires = (engine.__name__,)
