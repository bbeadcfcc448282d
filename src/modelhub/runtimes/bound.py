"""Answers that are bound to a format: who can, and what is said when one cannot."""

from modelhub.errors import TaskNotSupported
from modelhub.tasks import ChatRequest, Request


def format_of(request: Request) -> str | None:
    """The response format that a request needs, `json_object` or `json_schema`; `None` when any text does."""
    wanted = request.response_format if isinstance(request, ChatRequest) else None
    return None if wanted is None or wanted.type == "text" else wanted.type


def check_format(request: Request, engine: str, formats: tuple[str, ...]) -> None:
    """Refuse a request whose format `engine` cannot bind an answer to: it is never ignored.

    Raises:
        TaskNotSupported
    """
    wanted = format_of(request)
    if wanted is not None and wanted not in formats:
        raise TaskNotSupported(
            f"response_format: {cannot_bind(engine, wanted)}",
            hint="Runtimes on llama.cpp can: runtime='llama_server' or 'llama_cpp', with a GGUF file.",
            field="response_format",
        )


def cannot_bind(engine: str, wanted: str) -> str:
    """Why an engine is not taken."""
    return f"{engine} cannot bind its answer to a {wanted.replace('_', ' ')}"
