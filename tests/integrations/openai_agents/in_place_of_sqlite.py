"""A plugin for the SDK's own tests: what they import as `SQLiteSession` is ours, at REPLACED_URL."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import agents
import agents.extensions.memory.encrypt_session  # with theirs, whose private way of popping it asks for
import agents.memory
import agents.memory.sqlite_session

from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.openai_agents import MiniAgentSession
from miniagent_store.url import StoreURL

_handles: dict[str, StoreHandle] = {}


class SQLiteSession(MiniAgentSession):
    """Ours, made as theirs is: each file is a namespace, and each ":memory:" one of its own."""

    def __init__(self, session_id: str, db_path: str | Path = ":memory:", *_: Any, **options: Any) -> None:
        place = uuid.uuid4().hex if str(db_path) == ":memory:" else str(db_path)
        if place not in _handles:
            url = StoreURL.parse(os.environ["REPLACED_URL"])
            namespace = uuid.uuid5(uuid.NAMESPACE_URL, place).hex
            _handles[place] = StoreHandle(url.with_options(namespace=namespace))
        settings = options.get("session_settings")
        super().__init__(session_id, _handles[place], session_settings=settings)

    def close(self) -> None:  # type: ignore[override]
        """Theirs is not async."""

    def _stores_plainly(self) -> bool:
        return type(self) is SQLiteSession


for module in (agents, agents.memory, agents.memory.sqlite_session):
    module.SQLiteSession = SQLiteSession  # type: ignore[misc,attr-defined]
