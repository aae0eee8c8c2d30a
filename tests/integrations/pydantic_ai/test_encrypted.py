"""With encryption on, what was said stands nowhere in Redis."""

from __future__ import annotations

import pytest
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)

from tests.integrations.conftest import Encrypted

CANARY = "canary-7f3a9c"


def messages() -> list[ModelMessage]:
    return [
        ModelRequest.user_text_prompt(f"user {CANARY}"),
        ModelResponse([ToolCallPart("tool", {"argument": CANARY}, "call"), TextPart(CANARY)]),
        ModelRequest([ToolReturnPart("tool", {"result": CANARY}, "call")]),
    ]


async def test_conversations(encrypted: Encrypted) -> None:
    pytest.importorskip("pydantic_ai.conversation_store")
    from pydantic_ai.conversation import Conversation
    from pydantic_ai.tools import DeferredToolRequests

    from miniagent_store.integrations.pydantic_ai import MiniAgentConversationStore

    store = MiniAgentConversationStore(encrypted.url)
    waiting = DeferredToolRequests(calls=[ToolCallPart("tool", {"argument": CANARY}, "later")])
    conversation = Conversation(conversation_id="c", messages=messages(), deferred_tool_requests=waiting)
    await store.save(conversation, scope="ada")
    await store.fork("c", new_conversation_id="f")
    loaded = await MiniAgentConversationStore(encrypted.url).load("f")
    assert loaded is not None
    assert CANARY in str(loaded.messages)
    assert loaded.deferred_tool_requests == waiting
    encrypted.assert_absent(CANARY.encode())


async def test_steps(encrypted: Encrypted) -> None:
    pytest.importorskip("pydantic_ai_harness")
    from pydantic_ai_harness.step_persistence import (
        ContinuableSnapshot,
        RunRecord,
        StepEvent,
        ToolEffectRecord,
    )

    from miniagent_store.integrations.pydantic_ai import MiniAgentStepStore

    store = MiniAgentStepStore(encrypted.url)
    await store.register_run(RunRecord(run_id="r", conversation_id="c", metadata={"note": CANARY}))
    await store.append_event(StepEvent(run_id="r", kind="run_failed", step_index=0, error=CANARY))
    await store.record_tool_effect(
        ToolEffectRecord(
            tool_call_id="t", tool_name="tool", run_id="r", status="failed", effect_summary=CANARY
        )
    )
    await store.save_snapshot(ContinuableSnapshot(run_id="r", step_index=1, messages=messages()))
    snapshot = await MiniAgentStepStore(encrypted.url).latest_snapshot(run_id="r")
    assert snapshot is not None
    assert CANARY in str(snapshot.messages)
    encrypted.assert_absent(CANARY.encode())
