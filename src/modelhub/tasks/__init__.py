"""What a model can be asked: typed requests and results, one file a family."""

from modelhub.tasks.base import Request, Result, build_request
from modelhub.tasks.embedding import EmbedRequest, EmbedResult, TextInput, embed_request
from modelhub.tasks.formats import FormatInput, ResponseFormat, read_format
from modelhub.tasks.names import TASKS, TaskName, find_task
from modelhub.tasks.structured import as_class, checked_chunks, checked_reply
from modelhub.tasks.text import (
    ChatChunk,
    ChatReply,
    ChatRequest,
    FinishReason,
    Message,
    MessageInput,
    Role,
    Usage,
    chat_request,
    join_chunks,
)

__all__ = [
    "TASKS",
    "ChatChunk",
    "ChatReply",
    "ChatRequest",
    "EmbedRequest",
    "EmbedResult",
    "FinishReason",
    "FormatInput",
    "Message",
    "MessageInput",
    "Request",
    "ResponseFormat",
    "Result",
    "Role",
    "TaskName",
    "TextInput",
    "Usage",
    "as_class",
    "build_request",
    "chat_request",
    "checked_chunks",
    "checked_reply",
    "embed_request",
    "find_task",
    "join_chunks",
    "read_format",
]
