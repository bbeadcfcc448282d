"""What a model can be asked: typed requests and results, one file a family."""

from modelhub.tasks.base import Request, Result, build_request
from modelhub.tasks.embedding import EmbedRequest, EmbedResult, TextInput, embed_request
from modelhub.tasks.names import TASKS, TaskName, find_task
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
    "Message",
    "MessageInput",
    "Request",
    "Result",
    "Role",
    "TaskName",
    "TextInput",
    "Usage",
    "build_request",
    "chat_request",
    "embed_request",
    "find_task",
    "join_chunks",
]
