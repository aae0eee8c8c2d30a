"""Google ADK: what its runner asks of a session service in a turn with one call of a tool."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions import BaseSessionService, DatabaseSessionService
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai import types

from benchmarks.frameworks.contestant import Contestant, Places, Turn
from miniagent_store import open_store
from miniagent_store.integrations.google_adk import MiniAgentSessionService

PACKAGE = "google-adk"
NAMES = {"app_name": "app", "user_id": "ada", "session_id": "s"}
FEW = GetSessionConfig(num_recent_events=50)
PARTS = [
    ("user", types.Part(text="How is the weather in Paris? " * 4)),
    ("model", types.Part.from_function_call(name="weather", args={"city": "Paris"})),
    ("user", types.Part.from_function_response(name="weather", response={"found": "sunny"})),
    ("model", types.Part(text="It is sunny in Paris. " * 8)),
]


def events() -> list[Event]:
    """Those of a turn; the tool's changes a value of the session."""
    run = uuid.uuid4().hex
    made = [
        Event(author="user", invocation_id=run, content=types.Content(role=role, parts=[part]))
        for role, part in PARTS
    ]
    made[2].actions = EventActions(state_delta={"latest": run})
    return made


def contestants(places: Places) -> list[Contestant]:
    @asynccontextmanager
    async def ours(
        history: int, url: str, config: GetSessionConfig | None = None, keep: int = 0
    ) -> AsyncIterator[Turn]:
        async with open_store(url, namespace=f"adk-{history}-{config is None}-{keep}") as store:
            service = MiniAgentSessionService(store, keep_events_of=keep)
            await service.create_session(**NAMES)
            made = [event for _ in range((history + 3) // 4) for event in events()][:history]
            plain = [event.model_dump(mode="json", exclude_none=True) for event in made]
            await store.append("app/ada/s", *plain)
            yield turns_of(service, config)

    @asynccontextmanager
    async def theirs(
        history: int, service: BaseSessionService, file: Path, config: GetSessionConfig | None
    ) -> AsyncIterator[Turn]:
        session = await service.create_session(**NAMES)
        for event in events():
            await service.append_event(session, event)
        _multiply(file, history)
        yield turns_of(service, config)
        if isinstance(service, DatabaseSessionService):
            await service.close()

    def their_sqlite(history: int, config: GetSessionConfig | None = None) -> Any:
        file = places.folder / f"sqlite-{history}-{config is None}.db"
        return theirs(history, SqliteSessionService(str(file)), file, config)

    def their_database(history: int, config: GetSessionConfig | None = None) -> Any:
        file = places.folder / f"database-{history}-{config is None}.db"
        return theirs(history, DatabaseSessionService(f"sqlite+aiosqlite:///{file}"), file, config)

    return [
        Contestant("ours, SQLite", lambda history: ours(history, places.sqlite)),
        Contestant("SqliteSessionService", their_sqlite),
        Contestant("DatabaseSessionService, SQLite", their_database),
        Contestant("ours, Redis", lambda history: ours(history, places.redis)),
        Contestant("ours, SQLite, events kept", lambda history: ours(history, places.sqlite, keep=1)),
        Contestant("ours, Redis, events kept", lambda history: ours(history, places.redis, keep=1)),
        Contestant("ours, SQLite, num_recent_events=50", lambda history: ours(history, places.sqlite, FEW)),
        Contestant("SqliteSessionService, 50", lambda history: their_sqlite(history, FEW)),
        Contestant("DatabaseSessionService, SQLite, 50", lambda history: their_database(history, FEW)),
        Contestant("ours, Redis, num_recent_events=50", lambda history: ours(history, places.redis, FEW)),
    ]


def turns_of(service: BaseSessionService, config: GetSessionConfig | None) -> Turn:
    async def turn() -> None:
        session = await service.get_session(**NAMES, config=config)
        assert session is not None
        for event in events():
            await service.append_event(session, event)

    return turn


def _multiply(file: Path, history: int) -> None:
    """Copy the events of a file of ADK's until there are so many; by its runner it would take minutes."""
    with sqlite3.connect(file) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(events)")]
        rows = connection.execute("SELECT * FROM events ORDER BY timestamp").fetchall()
        latest = dict(zip(columns, rows[-1], strict=True))
        copies = []
        for number in range(history - len(rows)):
            row = dict(zip(columns, rows[number % len(rows)], strict=True))
            new = {"id": uuid.uuid4().hex, "timestamp": latest["timestamp"]}
            for name, value in row.items():
                if name == "event_data":
                    new[name] = json.dumps({**json.loads(value), "id": new["id"]})
                else:
                    new.setdefault(name, value)
            copies.append([new[name] for name in columns])
        marks = ",".join("?" * len(columns))
        connection.executemany(f"INSERT INTO events ({','.join(columns)}) VALUES ({marks})", copies)
    connection.close()
