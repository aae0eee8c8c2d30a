"""The threads that an agent holds in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping

from miniagent_store.agent.session_thread import SessionThread
from miniagent_store.errors import SessionNotFoundError
from miniagent_store.store.protocol import SessionStore


class KnownThreads(Mapping[str, SessionThread]):
    """Threads by session id, as they were last seen; at most so many, those used last.

    What somebody added to one of them is saved before it goes.

    Args:
        limit: how many.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._threads: OrderedDict[str, SessionThread] = OrderedDict()

    def __getitem__(self, session_id: str) -> SessionThread:
        return self._threads[session_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._threads)

    def __len__(self) -> int:
        return len(self._threads)

    async def remember(self, thread: SessionThread) -> None:
        """Hold a thread, in the place of an older one of its session."""
        self._threads[thread.session_id] = thread
        self._threads.move_to_end(thread.session_id)
        while len(self._threads) > self._limit:
            _, oldest = self._threads.popitem(last=False)
            await oldest.save()

    def forget(self, session_id: str) -> None:
        """Hold a thread no more, if it is held."""
        self._threads.pop(session_id, None)

    async def save(self, session_id: str) -> None:
        """Save what was added to a thread, if it is held.

        Raises:
            SessionNotFoundError: its session is gone; it is held no more.
        """
        thread = self._threads.get(session_id)
        if thread is not None and not await thread.save():
            self.forget(session_id)
            raise SessionNotFoundError(session_id)

    async def save_all(self) -> None:
        """Save what was added to any of them, and hold none."""
        while self._threads:
            _, thread = self._threads.popitem()
            await thread.save()

    async def forget_gone(self, store: SessionStore) -> None:
        """Hold those no more whose sessions have expired or were deleted, here or elsewhere."""
        for session_id, thread in list(self._threads.items()):
            try:
                await store.get(session_id)
            except SessionNotFoundError:
                if self._threads.get(session_id) is thread:
                    self.forget(session_id)
