"""LangChain's messages as JSON, in its own form."""

from __future__ import annotations

from typing import Any

from miniagent_store.integrations.lacking import requires

with requires("langchain-core", extra="langchain"):
    from langchain_core.messages import BaseMessage, message_to_dict

_NONE_USED = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


def dumped(message: BaseMessage) -> dict[str, Any]:
    """A message that `messages_from_dict` reads again."""
    plain: dict[str, Any] = message_to_dict(message)
    usage = plain["data"].get("usage_metadata")
    if usage and not _NONE_USED.keys() <= usage.keys():
        # An answer from a cache says only that it cost nothing, which LangChain refuses to read.
        plain["data"]["usage_metadata"] = {**_NONE_USED, **usage}
    return plain
