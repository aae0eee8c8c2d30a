"""Messages as pydantic-ai's own JSON: one text each, so that each is stored once."""

from __future__ import annotations

from collections.abc import Iterable

from miniagent_store.errors import DecodeError, EncodeError
from miniagent_store.integrations.lacking import requires

with requires("pydantic-ai-slim", extra="pydantic-ai"):
    from pydantic import ValidationError
    from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter
    from pydantic_core import PydanticSerializationError


def dump_message(message: ModelMessage) -> str:
    """The JSON of a message.

    Raises:
        EncodeError: it holds something that has no JSON.
    """
    try:
        return ModelMessagesTypeAdapter.dump_json([message])[1:-1].decode()
    except (PydanticSerializationError, UnicodeError):
        problem = "a message holds what cannot be written as JSON"
    # Outside the handler: the cause's text may quote the message.
    raise EncodeError("unsupported value", detail=problem)


def load_messages(texts: Iterable[str]) -> list[ModelMessage]:
    """The messages of several JSON texts; fast for long histories.

    Raises:
        DecodeError: one is no message that this release of pydantic-ai knows.
    """
    try:
        return ModelMessagesTypeAdapter.validate_json(f"[{','.join(texts)}]")
    except ValidationError as error:
        places = {str(each["loc"][0]) for each in error.errors(include_input=False) if each["loc"]}
    raise DecodeError(
        "not a message of this release of pydantic-ai",
        detail=f"number {', '.join(sorted(places))} of those read",
    )
