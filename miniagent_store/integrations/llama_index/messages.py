"""Messages as they are stored: the framework's own JSON."""

from __future__ import annotations

from typing import Any

from miniagent_store import DecodeError, EncodeError, Entry
from miniagent_store.integrations.lacking import requires

with requires("llama-index-core", extra="llama-index"):
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.storage.chat_store.base_db import MessageStatus
    from pydantic import ValidationError
    from pydantic_core import PydanticSerializationError

# Beside the message's own fields, and only where a message was archived when it was added.
STATUS = "status"


def entry_of(message: ChatMessage, status: MessageStatus = MessageStatus.ACTIVE) -> dict[str, Any]:
    """What is stored of a message.

    Raises:
        EncodeError: something in it has no JSON.
    """
    try:
        value: dict[str, Any] = message.model_dump(mode="json")
    except (PydanticSerializationError, TypeError, ValueError, RecursionError) as error:
        problem = type(error).__name__
    else:
        return {**value, STATUS: status.value} if status is MessageStatus.ARCHIVED else value
    # Not raised inside the handler: what was refused would stand in the traceback.
    raise EncodeError(
        "unsupported type",
        detail=f"it has no JSON ({problem})",
        context="a ChatMessage",
    )


def value_of(entry: Entry) -> dict[str, Any]:
    """What an entry holds, to be kept."""
    return dict(entry.value)


def message_of(value: dict[str, Any], session_id: str, seq: int) -> ChatMessage:
    """A new message out of what is stored; it shares nothing with `value`.

    Raises:
        DecodeError: this release of LlamaIndex cannot read it.
    """
    plain = _copied(value)
    plain.pop(STATUS, None)
    try:
        return ChatMessage.model_validate(plain)
    except ValidationError:
        pass
    raise DecodeError(
        "not a message of LlamaIndex",
        detail="this release of llama-index-core cannot read it; a newer one may have written it",
        context=f"session {session_id!r}, message {seq}",
    )


def _copied(value: Any) -> Any:
    """A copy of JSON in all depths. `copy.deepcopy` takes ten times as long."""
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_copied(each) for each in value]
    return value
