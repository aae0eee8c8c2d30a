"""Messages and events of whatever make, as what the store keeps, and as what the seed's callers see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from miniagent_store.agent.events import event_name
from miniagent_store.errors import InvalidArgumentError
from miniagent_store.values import Entry, Message

REDACTED = "redacted"
_OPTIONAL = ("metadata", "tool_calls", "tool_call_id", "name")


def as_message(message: Any) -> Message:
    """A `Message` of one, of a mapping, or of an object with `role` and `content` (MiniAgent's).

    Raises:
        InvalidArgumentError: it is none of these.
    """
    if isinstance(message, Message):
        return message
    if isinstance(message, Mapping):
        return Message.from_dict(message)
    if not hasattr(message, "role") or not hasattr(message, "content"):
        raise InvalidArgumentError(
            f"a message is a Message, a mapping, or an object with role and content, "
            f"not {type(message).__name__}"
        )
    given = {name: getattr(message, name, None) for name in _OPTIONAL}
    fields = {"role": message.role, "content": message.content}
    fields.update((name, value) for name, value in given.items() if value)
    return Message.from_dict(fields, time=aware(getattr(message, "timestamp", None)))


def as_event(event: Any) -> tuple[dict[str, Any], datetime | None]:
    """What is stored of an event, a mapping or an object with `type` and `data`, and its time.

    Raises:
        InvalidArgumentError: it is neither.
    """
    if isinstance(event, Mapping):
        return dict(event), None
    if not hasattr(event, "type"):
        raise InvalidArgumentError(
            f"an event is a mapping, or an object with type and data, not {type(event).__name__}"
        )
    fields = {"type": event_name(event.type), "data": getattr(event, "data", None)}
    if metadata := getattr(event, "metadata", None):
        fields["metadata"] = dict(metadata)
    return fields, aware(getattr(event, "timestamp", None))


def aware(time: Any) -> datetime | None:
    """An aware datetime; a naive one is taken as local time, as MiniAgent's ``datetime.now()`` is."""
    if not isinstance(time, datetime):
        return None
    return time if time.tzinfo is not None else time.astimezone()


def text_of(content: Any) -> str:
    """The text of a message's content: of parts, that of the text parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        return text_of(content.get("text"))
    if isinstance(content, list | tuple):
        return "".join(map(text_of, content))
    return ""


def visible(messages: Iterable[Message]) -> list[Message]:
    """What a model may see: no tombstones, and no tool's answer whose question is out of sight.

    Chat APIs refuse a tool's message without the assistant's that called for it, which a limited history
    or a redaction may have cut off.
    """
    shown: list[Message] = []
    called: set[Any] = set()
    for message in messages:
        if message.role == REDACTED or (message.tool_call_id and message.tool_call_id not in called):
            continue
        called.update(call.get("id") for call in message.tool_calls or () if isinstance(call, Mapping))
        shown.append(message)
    return shown


def exchanges(messages: Iterable[Message]) -> list[list[Message]]:
    """What a model may see, in groups that only make sense as a whole.

    A message that calls tools stands with all their results. Where one of these is missing, because it was
    redacted or lies out of sight, the calls are left out, since chat APIs refuse them; the text that was
    said with them stays.
    """
    shown = [message for message in messages if message.role != REDACTED]
    groups: list[list[Message]] = []
    at = 0
    while at < len(shown):
        message = shown[at]
        at += 1
        calls = {call.get("id") for call in message.tool_calls or () if isinstance(call, Mapping)}
        if not calls:
            if not message.tool_call_id:
                groups.append([message])
            continue
        results: list[Message] = []
        while at < len(shown) and shown[at].tool_call_id in calls:
            results.append(shown[at])
            at += 1
        if {each.tool_call_id for each in results} == calls:
            groups.append([message, *results])
        elif message.content:
            rest = {name: value for name, value in message.items() if name != "tool_calls"}
            groups.append([Message.from_dict(rest)])
    return groups


def llm_dict(message: Message) -> dict[str, Any]:
    """What chat APIs take: role and content, and name, tool calls and tool call id where there are any."""
    plain = {"role": message.role, "content": message.content}
    for name in ("tool_calls", "tool_call_id", "name"):
        if value := message.get(name):
            plain[name] = value
    return plain


def history_dict(entry: Entry) -> dict[str, Any]:
    """A message as the seed's histories show it; its content is never None, since callers slice it."""
    plain = llm_dict(entry.message)
    if entry.redacted:
        reason = entry.message.metadata.get("reason")
        plain["content"] = f"[redacted: {reason}]" if reason else "[redacted]"
    elif plain["content"] is None:
        plain["content"] = ""
    return plain
