"""Google ADK: its session services on SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar

from miniagent_store.bench.peers.base import MessageDict, Where
from miniagent_store.bench.peers.places import aiosqlite_url, sqlite_path

_APP = {"app_name": "bench", "user_id": "ada"}


class _Service:
    """Events are added one at a time to a session object, which is read anew when it is stale."""

    _service: Any

    def __init__(self) -> None:
        self._sessions: dict[str, Any] = {}

    def _load(self) -> None:
        self._event = import_module("google.adk.events").Event
        self._types = import_module("google.genai.types")
        self._config = import_module("google.adk.sessions.base_session_service").GetSessionConfig

    async def append(self, session: str, messages: Sequence[MessageDict]) -> None:
        for message in messages:
            user = message["role"] == "user"
            content = self._types.Content(
                role="user" if user else "model", parts=[self._types.Part(text=message["content"])]
            )
            while True:
                held = self._sessions.get(session) or await self._session(session)
                event = self._event(author="user" if user else "agent", content=content)
                try:
                    await self._service.append_event(held, event)
                    break
                except ValueError as error:
                    # Its class is in no public module.
                    if type(error).__name__ != "StaleSessionError":
                        raise
                    del self._sessions[session]

    async def _session(self, session: str) -> Any:
        """The session as it is, made if it is missing."""
        found = await self._read(session, 1)
        if found is None:
            try:
                found = await self._service.create_session(session_id=session, **_APP)
            except Exception:
                found = await self._read(session, 1)
                if found is None:
                    raise
        self._sessions[session] = found
        return found

    async def _read(self, session: str, n: int | None) -> Any:
        return await self._service.get_session(
            session_id=session, config=self._config(num_recent_events=n), **_APP
        )

    async def last(self, session: str, n: int) -> Sequence[Any]:
        found = await self._read(session, n)
        events: Sequence[Any] = found.events if found else []
        return events

    async def whole(self, session: str) -> Sequence[Any]:
        found = await self._read(session, None)
        events: Sequence[Any] = found.events if found else []
        return events

    async def clear(self, session: str) -> None:
        self._sessions.pop(session, None)
        await self._service.delete_session(session_id=session, **_APP)

    async def close(self) -> None:
        await self._service.close()


class ADKSQLite(_Service):
    name: ClassVar[str] = "Google ADK SqliteSessionService"
    package: ClassVar[str] = "google-adk aiosqlite"
    where: ClassVar[Where] = "sqlite"

    async def open(self, url: str) -> None:
        self._load()
        service = import_module("google.adk.sessions.sqlite_session_service").SqliteSessionService
        self._service = service(sqlite_path(url))


class ADKDatabase(_Service):
    name: ClassVar[str] = "Google ADK DatabaseSessionService"
    package: ClassVar[str] = "google-adk aiosqlite sqlalchemy"
    where: ClassVar[Where] = "sqlite"

    async def open(self, url: str) -> None:
        self._load()
        service = import_module("google.adk.sessions").DatabaseSessionService
        self._service = service(db_url=aiosqlite_url(url))
