"""AG2's `Storage`, in which streams keep their history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from miniagent_store import SessionStore, join_id
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.integrations.ag2.events import Events
from miniagent_store.integrations.ag2.turns import ExclusiveTurns
from miniagent_store.integrations.kept_log import KeptLogs
from miniagent_store.integrations.lacking import requires
from miniagent_store.url import StoreURL

with requires("ag2", extra="ag2"):
    # AG2 looks at the annotations of `save_event`: both names are needed when it runs.
    from ag2.annotations import Context
    from ag2.events import BaseEvent
    from ag2.history import Storage


class MiniAgentStorage(Storage):
    """The histories of streams, each a session with the id ``ag2/STREAM``, one entry an event.

    An event is one commit. What was read is kept: `get_history` reads only what is newer, and gives the
    same event objects again, as AG2's own `MemoryStorage` does.

    Args:
        store: a URL, an open `SessionStore`, or a `StoreHandle`; by default as `open_store`.
        types: your own classes of events, and dataclasses, enums and pydantic models that tools return or
            events hold. Others than these and AG2's own are neither stored nor read.

    Example:
        >>> storage = MiniAgentStorage("sqlite:///agents.db")
        >>> reply = await agent.ask("Hello", stream=MemoryStream(storage, id=stream_id))
    """

    def __init__(
        self,
        store: str | StoreURL | SessionStore | StoreHandle | None = None,
        *,
        types: Iterable[type] = (),
    ) -> None:
        self._handle, self._types = handle_of(store), tuple(types)
        self._events = Events(self._types)
        self._logs = KeptLogs(self._events.decode)
        self._fences: dict[UUID, int] = {}

    async def save_event(self, event: BaseEvent, context: Context) -> None:
        """Append an event to the history of the context's stream.

        Raises:
            EncodeError: it holds something that cannot be read back; see `types`.
            FencedError: with `exclusive`, another process has the turn.
        """
        stream_id = context.stream.id
        await self._commit(stream_id, [event], anew=False)

    async def get_history(self, stream_id: UUID) -> Iterable[BaseEvent]:
        """All events of a stream in order, in a new list; do not change the events.

        Raises:
            DecodeError: one cannot be read; see `types`.
        """
        read = await self._handle.run(lambda store: self._logs.read(store, _session_id(stream_id)))
        return [event for _, event in read.items] if read else []

    async def set_history(self, stream_id: UUID, events: Iterable[BaseEvent]) -> None:
        """Put events in the place of all that are there, in one commit.

        When the session was made, its TTL, its state and its metadata stay.
        """
        await self._commit(stream_id, list(events), anew=True)

    async def drop_history(self, stream_id: UUID) -> None:
        """Delete the session."""
        await self._handle.run_to_end(lambda store: store.delete(_session_id(stream_id)))

    def exclusive(self, *, wait: float = 30) -> ExclusiveTurns:
        """Middleware for agents whose streams several processes run: one turn of a stream at a time.

        Args:
            wait: seconds that a turn waits for the one before; then `LockTimeoutError`.

        Example:
            >>> agent = Agent("helper", config=config, middleware=[storage.exclusive()])
        """
        return ExclusiveTurns(self._handle, _session_id, self._fences, wait=wait)

    async def aclose(self) -> None:
        """Let go of connections that were opened here; calls afterwards raise."""
        await self._handle.aclose()

    async def _commit(self, stream_id: UUID, events: list[BaseEvent], *, anew: bool) -> None:
        entries = [self._events.encode(event) for event in events]
        fence = self._fences.get(stream_id)

        async def work(store: SessionStore) -> None:
            async with store.batch(_session_id(stream_id), create=True, fence=fence) as batch:
                if anew:
                    batch.clear()
                # Ids of events are no identities: a call and its copies have one.
                batch.append(*entries, dedupe=False)

        await self._handle.run_to_end(work)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self._handle, self._types)


def _restored(
    cls: type[MiniAgentStorage], handle: StoreHandle, types: tuple[type, ...]
) -> MiniAgentStorage:
    return cls(handle, types=types)


def _session_id(stream_id: UUID) -> str:
    return join_id("ag2", str(stream_id))
