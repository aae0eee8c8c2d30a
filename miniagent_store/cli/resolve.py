"""From what a person typed to a session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from miniagent_store.errors import InvalidArgumentError, SessionNotFoundError, StoreError
from miniagent_store.measuring.walking import every_session

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Session

SHOWN = 5


class AmbiguousSessionError(StoreError):
    """Several sessions start with what was typed."""

    def __init__(self, prefix: str, candidates: Iterable[str]) -> None:
        ids = sorted(candidates)
        more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
        super().__init__(
            f"{prefix!r} fits {len(ids)} sessions: {', '.join(ids[:SHOWN])}{more}; give more characters"
        )


async def find_session(store: SessionStore, text: str) -> Session:
    """The session with this id, of any kind, or else the only conversation whose id starts so.

    Raises:
        SessionNotFoundError: there is none.
        AmbiguousSessionError: there are several.
    """
    # An empty variable in a script must never pick the only session there is.
    if not text:
        raise InvalidArgumentError("a session id must not be empty; see `miniagent-store sessions list`")
    try:
        return await store.get(text)
    except SessionNotFoundError:
        found = [each async for each in every_session(store) if each.id.startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise AmbiguousSessionError(text, (each.id for each in found))
    raise SessionNotFoundError(
        text, hint="no id is, or starts with, this; see `miniagent-store sessions list`"
    )


async def last_session(store: SessionStore, *, user_id: str | None = None) -> Session | None:
    """The conversation that was active last; None if there is none."""
    page = await store.list(user_id=user_id, limit=1)
    return page.items[0] if page.items else None
