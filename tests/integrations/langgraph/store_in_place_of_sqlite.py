"""A plugin for the SQLite store's own tests: their stores are ours, on the store that STORE_URL names."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest.mock import ANY

import langgraph.store.sqlite
import langgraph.store.sqlite.aio

from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.langgraph.store import MiniAgentStore
from miniagent_store.url import StoreURL


class SqliteStore(MiniAgentStore):
    """Ours, made as theirs is: each connection an empty namespace. What expired is gone without a sweep."""

    MIGRATIONS = langgraph.store.sqlite.SqliteStore.MIGRATIONS

    @classmethod
    @contextmanager
    def from_conn_string(cls, place: str, **options: Any) -> Iterator[SqliteStore]:
        store = made(cls, options)
        yield store
        store.handle.close()

    def setup(self) -> None:
        """Nothing is to be set up."""

    def sweep_ttl(self) -> Any:
        """How many theirs would have swept."""
        return ANY

    def start_ttl_sweeper(self) -> None:
        """Nothing is to be swept."""

    def stop_ttl_sweeper(self) -> None:
        """Nothing is to be swept."""


class AsyncSqliteStore(MiniAgentStore):
    """As `SqliteStore`."""

    @classmethod
    @asynccontextmanager
    async def from_conn_string(cls, place: str, **options: Any) -> AsyncIterator[AsyncSqliteStore]:
        store = made(cls, options)
        yield store
        await store.handle.aclose()

    async def setup(self) -> None:
        """Nothing is to be set up."""

    async def sweep_ttl(self) -> Any:
        """How many theirs would have swept."""
        return ANY

    async def start_ttl_sweeper(self) -> None:
        """Nothing is to be swept."""

    async def stop_ttl_sweeper(self) -> None:
        """Nothing is to be swept."""


def made(cls: Any, options: dict[str, Any]) -> Any:
    url = StoreURL.parse(os.environ["STORE_URL"]).with_options(namespace=uuid.uuid4().hex)
    if "index" in options:
        # Their own name of LangGraph's `fields`.
        options["index"] = {**options["index"], "fields": options["index"].get("text_fields")}
    return cls(StoreHandle(url), **options)


for module in (langgraph.store.sqlite, langgraph.store.sqlite.aio):
    module.SqliteStore = SqliteStore  # type: ignore[attr-defined]
    module.AsyncSqliteStore = AsyncSqliteStore  # type: ignore[attr-defined]
