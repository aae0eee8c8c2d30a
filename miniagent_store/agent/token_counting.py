"""How many tokens a message takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from miniagent_store.values import Message

TokenCounter = Callable[[Message], int]

BYTES_PER_TOKEN = 4
TOKENS_AROUND_A_MESSAGE = 4
# Of a part that is no text, such as an image at middling size; providers count by pixels or seconds.
TOKENS_OF_ANOTHER_PART = 800


def estimate_tokens(message: Message) -> int:
    """An estimate without a tokenizer: a token for 4 bytes of UTF-8, and 4 for each message.

    English prose takes about as many; code, and languages far from Latin script, up to half as many more:
    leave room for them, or give `ContextWindow` your model's own tokenizer as ``counter=``. A part that is
    no text counts 800.

    Example:
        >>> estimate_tokens(Message.user("Hello, world"))
        7
    """
    size, others = _size(message.content)
    for more in (message.tool_calls, message.name, message.tool_call_id):
        if more:
            text = more if isinstance(more, str) else json.dumps(more, default=str, ensure_ascii=False)
            size += len(text.encode(errors="replace"))
    return TOKENS_AROUND_A_MESSAGE + -(-size // BYTES_PER_TOKEN) + others * TOKENS_OF_ANOTHER_PART


def cut_text(text: str, tokens: int, counter: TokenCounter) -> str:
    """A text that takes at most so many tokens, cut where it must be."""
    while text and (taken := counter(Message.user(text))) > tokens:
        shorter = text[: max(min(len(text) - 2, len(text) * tokens // taken), 0)].rstrip()
        text = f"{shorter}…" if shorter else ""
    return text


def _size(content: Any) -> tuple[int, int]:
    """Bytes of the texts in a content, and how many parts are something else."""
    if content is None:
        return 0, 0
    if isinstance(content, str):
        return len(content.encode(errors="replace")), 0
    if isinstance(content, Mapping):
        return _size(content["text"]) if "text" in content else (0, 1)
    if isinstance(content, list | tuple):
        sizes = list(map(_size, content))
        return sum(size for size, _ in sizes), sum(others for _, others in sizes)
    return len(str(content)), 0
