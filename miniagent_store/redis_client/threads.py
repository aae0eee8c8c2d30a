"""The seed's threads: whole values under a session's id, kept as its logs as far as they are messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from miniagent_store.errors import SessionNotFoundError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import EVENTS, MESSAGES

# What a thread is besides its logs: {"shape": "list", "dict" or "value", "rest": …, "logs": [names]}.
THREAD = "redis_client.thread"
WRAPPED = "redis_client.value"


def wrap(value: Any) -> Mapping[str, Any]:
    """An entry of a log, which is a mapping, of what may be none: bytes of a caller's serializer."""
    return value if isinstance(value, Mapping) else {WRAPPED: value}


async def save_thread(
    store: SessionStore, session_id: str, thread: Any, encode: Callable[[Any], Any]
) -> None:
    """Replace a thread in one commit; its session is made if it is missing."""
    shape, logs, rest = _parts(thread)
    async with store.batch(session_id, create=True) as batch:
        for log in (MESSAGES, EVENTS):
            batch.replace((), log=log)
            # The whole is given as it is: two messages with one id are two.
            batch.append(*(wrap(encode(each)) for each in logs.get(log, ())), log=log, dedupe=False)
        batch.state.set(THREAD, {"shape": shape, "rest": encode(rest), "logs": list(logs)})


async def load_thread(store: SessionStore, session_id: str, decode: Callable[[Any], Any]) -> Any:
    """The thread as it was saved, and what was appended since; None if there is none."""
    try:
        found = await store.snapshot(session_id, logs=(MESSAGES, EVENTS), state=[THREAD])
    except SessionNotFoundError:
        return None
    logs = {log: [_unwrap(entry.value, decode) for entry in found.logs[log]] for log in (MESSAGES, EVENTS)}
    kept = found.state.get(THREAD)
    if kept is None:
        # As the seed's SessionThread and append_to_thread make it.
        return logs if any(logs.values()) else None
    rest = decode(kept["rest"])
    match kept["shape"]:
        case "dict":
            shown = {log: each for log, each in logs.items() if each or log in kept["logs"]}
            return {**rest, **shown}
        case "list":
            return logs[MESSAGES]
    return [rest, *logs[MESSAGES]] if logs[MESSAGES] else rest


def _parts(thread: Any) -> tuple[str, dict[str, Sequence[Any]], Any]:
    """Shape, logs by name, and what is none of these."""
    if isinstance(thread, list):
        return "list", {MESSAGES: thread}, None
    if not isinstance(thread, Mapping):
        return "value", {}, thread
    logs = {log: thread[log] for log in (MESSAGES, EVENTS) if isinstance(thread.get(log), list)}
    return "dict", logs, {name: each for name, each in thread.items() if name not in logs}


def _unwrap(value: Mapping[str, Any], decode: Callable[[Any], Any]) -> Any:
    return decode(value[WRAPPED]) if WRAPPED in value else dict(value)
