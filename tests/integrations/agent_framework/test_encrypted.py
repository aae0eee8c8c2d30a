"""With encryption on, no word of a conversation or a workflow stands in Redis; ids and names may."""

from __future__ import annotations

import base64

from agent_framework import AgentSession, WorkflowCheckpoint

from miniagent_store.integrations.agent_framework import (
    MiniAgentCheckpointStorage,
    MiniAgentHistoryProvider,
    MiniAgentSessionStore,
)
from tests.integrations.agent_framework.conversation import Points, agent
from tests.integrations.conftest import Encrypted


async def test_encrypted(encrypted: Encrypted) -> None:
    provider = MiniAgentHistoryProvider(encrypted.url)
    session = AgentSession(session_id="s")
    session.state["word"] = "canary-of-state"
    await agent(Points(None), provider).run("How is it in canary-of-message", session=session)
    await MiniAgentSessionStore(encrypted.url).set("s", session)
    checkpoint = WorkflowCheckpoint(
        "w", "g", state={"plain": "canary-of-checkpoint", "pickled": (b"canary",)}
    )
    await MiniAgentCheckpointStorage(encrypted.url).save(checkpoint)

    assert "canary-of-message" in str([each.to_dict() for each in await provider.get_messages("s")])
    encrypted.assert_absent(b"canary")
    # Within what the framework pickles, which it writes as base64.
    for shift in range(3):
        encrypted.assert_absent(base64.b64encode(b"x" * shift + b"canary")[4:8])
