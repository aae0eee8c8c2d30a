"""Messages as they are stored: the framework's own JSON."""

from __future__ import annotations

import json
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


def kept_of(entry: Entry) -> tuple[str, bool]:
    """What is kept of an entry: its JSON, and whether it says itself that it is archived.

    Texts, since the collector of garbage does not look at them: histories are long, and read often.
    """
    return json.dumps(dict(entry.value)), STATUS in entry.value


def message_of(kept: str, context: str) -> ChatMessage:
    """A new message out of what was kept.

    Raises:
        DecodeError: this release of LlamaIndex cannot read it.
    """
    try:
        return ChatMessage.model_validate_json(kept)
    except ValidationError:
        pass
    raise DecodeError(
        "not a message of LlamaIndex",
        detail="this release of llama-index-core cannot read it; a newer one may have written it",
        context=context,
    )
