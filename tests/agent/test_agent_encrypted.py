"""With encryption on, nothing of a conversation stands anywhere in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from miniagent_store import AgentConfig, Compaction, ContextWindow, Key, Message, ToolCall, open_store, tool
from miniagent_store.session import SessionAgent
from miniagent_store.testing.servers import Server


@tool(cacheable=True)
def lookup(word: str) -> str:
    """Look a word up."""
    return "c4nary-result"


async def model(messages: list[Message], config: AgentConfig, *, tools: Any) -> AsyncIterator[Any]:
    if messages[-1].role == "user":
        yield ToolCall("1", "lookup", {"word": "c4nary-argument"})
    else:
        yield "c4nary-answer"


async def summarize(messages: Sequence[Message], summary: str | None) -> str:
    return "c4nary-summary"


async def test_messages_results_summaries_and_pins_are_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_KEYS", Key.generate().to_text())
    with Server() as server:
        # Else a word could be hidden by the compression of DUMP.
        server.command("CONFIG", "SET", "rdbcompression", "no")
        url = f"{server.url}/0?serializer=msgpack+encrypted&keys=env:AGENT_KEYS"
        async with open_store(url) as store:
            await store.append("s", Message.system("c4nary-pinned"), create=True)
            async with SessionAgent(
                tools=lookup,
                store=store,
                model=model,
                window=ContextWindow(messages=4),
                compaction=Compaction(summarize),
            ) as agent:
                for _ in range(4):
                    assert await agent.run_session("s", "c4nary-question") == "c4nary-answer"
            names = ("agent.pinned", "agent.summary")
            assert set(await store.state("s").get_many(names)) == set(names)

        keys: list[bytes] = server.command("KEYS", "*")
        everything = b"".join(part for key in keys for part in (key, server.command("DUMP", key) or b""))
        assert len(everything) > 2000
        assert b"c4nary" not in everything
