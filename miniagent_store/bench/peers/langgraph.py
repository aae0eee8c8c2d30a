"""LangGraph: a graph's messages, checkpointed in SQLite.

``langgraph-checkpoint-redis`` is not measured: it needs a server with RediSearch and RedisJSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar

from miniagent_store.bench.peers.base import MessageDict, Where
from miniagent_store.bench.peers.places import sqlite_path


class LangGraphSQLite:
    """Messages are the state of a graph of one node; each change of it writes a checkpoint with all."""

    name: ClassVar[str] = "LangGraph AsyncSqliteSaver"
    package: ClassVar[str] = "langgraph langgraph-checkpoint-sqlite aiosqlite"
    where: ClassVar[Where] = "sqlite"

    async def open(self, url: str) -> None:
        graphs = import_module("langgraph.graph")
        saver = import_module("langgraph.checkpoint.sqlite.aio").AsyncSqliteSaver
        self._connection = import_module("aiosqlite").connect(sqlite_path(url))
        self._saver = saver(await self._connection)
        builder = graphs.StateGraph(graphs.MessagesState)
        builder.add_node("answer", lambda state: {})
        builder.add_edge(graphs.START, "answer")
        self._graph = builder.compile(checkpointer=self._saver)

    async def append(self, session: str, messages: Sequence[MessageDict]) -> None:
        await self._graph.aupdate_state(
            _config(session), {"messages": [dict(message) for message in messages]}, as_node="answer"
        )

    async def last(self, session: str, n: int) -> Sequence[Any]:
        return (await self.whole(session))[-n:]

    async def whole(self, session: str) -> Sequence[Any]:
        state = await self._graph.aget_state(_config(session))
        messages: Sequence[Any] = state.values.get("messages", [])
        return messages

    async def clear(self, session: str) -> None:
        await self._saver.adelete_thread(session)

    async def close(self) -> None:
        await self._connection.close()


def _config(session: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": session}}
