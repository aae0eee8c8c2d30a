"""What a text names exactly: indexes find that among any number of sessions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from miniagent_store.errors import InvalidArgumentError, SessionNotFoundError, StoreError
from miniagent_store.store.protocol import SessionStore


@dataclass(frozen=True, slots=True)
class Named:
    """What a text is the name of.

    Attributes:
        what: "session", "user", "agent" or "tag".
        sessions: how many there are of it.
    """

    what: str
    sessions: int


async def named(store: SessionStore, text: str) -> list[Named]:
    """What has exactly this name, the session first."""
    filters: dict[str, dict[str, Any]] = {
        "user": {"user_id": text},
        "agent": {"agent": text},
        "tag": {"tags": [text]},
    }
    counts = await asyncio.gather(
        _session(store, text), *(_count(store, each) for each in filters.values())
    )
    return [
        Named(what, sessions)
        for what, sessions in zip(("session", *filters), counts, strict=True)
        if sessions
    ]


async def _session(store: SessionStore, text: str) -> int:
    try:
        await store.get(text)
    except (InvalidArgumentError, SessionNotFoundError):
        return 0
    except StoreError:
        pass  # It is there and cannot be read; its own page says why.
    return 1


async def _count(store: SessionStore, filters: dict[str, Any]) -> int:
    try:
        return await store.count_sessions(**filters)
    except InvalidArgumentError:
        return 0  # Nobody can be called so.
