"""The seed's threads: whole values under a session's id, kept as its logs where they are messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from miniagent_store.errors import SessionNotFoundError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import EVENTS, MESSAGES

# What a thread is besides its logs: {"shape": "list", "dict" or "value", "rest": …}.
THREAD = "redis_client.thread"
WRAPPED = "redis_client.bytes"


def wrap(value: Any) -> Any:
    """A message as an entry; what a serializer of the caller's made of it is bytes."""
    return {WRAPPED: value} if isinstance(value, bytes) else value


async def save_thread(
    store: SessionStore, session_id: str, thread: Any, encode: Callable[[Any], Any]
) -> None:
    """Replace a thread in one commit; its session is made if it is missing."""
    shape, messages, events, rest = _parts(thread)
    async with store.batch(session_id, create=True) as batch:
        batch.replace([wrap(encode(each)) for each in messages], log=MESSAGES)
        batch.replace([wrap(encode(each)) for each in events], log=EVENTS)
        batch.state.set(THREAD, {"shape": shape, "rest": encode(rest)})


async def load_thread(store: SessionStore, session_id: str, decode: Callable[[Any], Any]) -> Any:
    """The thread as it was saved; None if there is none."""
    try:
        found = await store.snapshot(session_id, logs=(MESSAGES, EVENTS), state=[THREAD])
    except SessionNotFoundError:
        return None
    kept = found.state.get(THREAD, {"shape": "none", "rest": None})
    messages = [_unwrap(entry.value, decode) for entry in found.logs[MESSAGES]]
    events = [_unwrap(entry.value, decode) for entry in found.logs[EVENTS]]
    match kept["shape"]:
        case "value":
            return decode(kept["rest"])
        case "dict":
            return {**decode(kept["rest"]), "messages": messages, "events": events}
        case "list":
            return messages
    if events:
        return {"messages": messages, "events": events}
    return messages or None


def _parts(thread: Any) -> tuple[str, list[Any], list[Any], Any]:
    if isinstance(thread, list) and _are_mappings(thread):
        return "list", thread, [], {}
    if isinstance(thread, Mapping):
        messages, events = thread.get("messages", []), thread.get("events", [])
        if _are_mappings(messages) and _are_mappings(events):
            rest = {name: each for name, each in thread.items() if name not in {"messages", "events"}}
            return "dict", list(messages), list(events), rest
    return "value", [], [], thread


def _are_mappings(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(each, Mapping) for each in values)


def _unwrap(value: Mapping[str, Any], decode: Callable[[Any], Any]) -> Any:
    return decode(value[WRAPPED]) if WRAPPED in value else dict(value)
