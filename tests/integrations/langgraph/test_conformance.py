"""LangGraph's own kit for checkpointers, in full."""

from __future__ import annotations

from collections.abc import AsyncIterator

from langgraph.checkpoint.conformance import checkpointer_test, validate

from miniagent_store.integrations.langgraph import MiniAgentSaver


async def test_base_and_extended_capabilities(url: str) -> None:
    @checkpointer_test(name="MiniAgentSaver")
    async def saver() -> AsyncIterator[MiniAgentSaver]:
        ours = MiniAgentSaver(url)
        yield ours
        await ours.handle.aclose()

    report = await validate(saver)

    assert report.passed_all(), report
