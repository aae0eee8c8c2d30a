"""Which sessions: the options that commands about many of them share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from miniagent_store.cli.moments import MOMENT

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Session


@dataclass(frozen=True, slots=True)
class Filters:
    """What sessions have to be.

    Attributes:
        user, agent, tags, kind: as `SessionStore.list` has them.
        since: of this activity or later.
    """

    user: str | None
    agent: str | None
    tags: tuple[str, ...]
    kind: str
    since: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether every conversation fits."""
        return self == Filters(None, None, (), "session", None)

    @property
    def listed(self) -> dict[str, Any]:
        """Those that a store knows, as arguments of `list` and `count_sessions`."""
        return {"user_id": self.user, "agent": self.agent, "tags": self.tags, "kind": self.kind}

    async def sessions(self, store: SessionStore) -> AsyncIterator[Session]:
        """All that fit, the most recently active first."""
        from miniagent_store.measuring.walking import every_session

        async for session in every_session(store, **self.listed):
            if self.since is not None and session.last_activity < self.since:
                # Listings are in this order; what becomes active meanwhile is of now.
                return
            yield session


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--user``, ``--agent``, ``--tag``, ``--kind`` and ``--since``, given to the command as `filters`."""

    @click.option("--user", metavar="ID", help="Only this user's.")
    @click.option("--agent", metavar="NAME", help="Only this agent's.")
    @click.option(
        "--tag", "tags", metavar="TAG", multiple=True, help="Only with this tag; repeat for several."
    )
    @click.option("--kind", default="session", show_default=True, help="What the records carry.")
    @click.option(
        "--since", type=MOMENT, metavar="WHEN", help="Only those active since: 30m, 2h, 7d, 2030-01-31."
    )
    @wraps(command)
    def with_filters(
        user: str | None,
        agent: str | None,
        tags: tuple[str, ...],
        kind: str,
        since: datetime | None,
        **others: Any,
    ) -> None:
        command(filters=Filters(user, agent, tags, kind, since), **others)

    return with_filters
