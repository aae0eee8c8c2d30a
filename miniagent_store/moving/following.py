"""Taking note of what changes in a store, while something else is done that takes long.

A backend tells of changes for about a minute; whoever asks later may be told of every session there is. So
they are asked for all the time, and kept in the journal until their sessions were looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from miniagent_store.errors import StoreError
from miniagent_store.moving.journal import Journal
from miniagent_store.store.core import StoreCore

EVERY_SECONDS = 2.0
_PAGE = 400
_CURSOR = "cursor"


class Follower:
    """Asks again and again, inside an ``async with``.

    Args:
        core: of the store that is followed.
        journal: where changes and the cursor are kept.
    """

    def __init__(self, core: StoreCore, journal: Journal) -> None:
        self._core, self._journal = core, journal
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def begin(self) -> None:
        """What was noted is of no use any more: every session will be looked at after this."""
        backend = self._core.backend
        _, cursor = await self._core.retrying.attempt("changes", "", lambda _: backend.changes(None, 1))
        self._journal.begin_following(_CURSOR, cursor)

    async def ask(self) -> None:
        """Note what has changed up to now."""
        async with self._one_at_a_time:
            while await self._ask_once() == _PAGE:
                pass

    async def _ask_once(self) -> int:
        backend, after = self._core.backend, self._journal.fact(_CURSOR)
        changes, cursor = await self._core.retrying.attempt(
            "changes", "", lambda _: backend.changes(after, _PAGE)
        )
        self._journal.note_changed(_CURSOR, cursor, [each.session_id for each in changes])
        return len(changes)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            # What fails here for longer is raised where it is asked for by name.
            with contextlib.suppress(StoreError):
                await self.ask()
