"""With encryption on, what was said stands nowhere in Redis."""

from __future__ import annotations

from agents import Runner

from miniagent_store.integrations.openai_agents import MiniAgentSession
from tests.integrations.conftest import Encrypted
from tests.integrations.openai_agents.conversation import AGENT, CONFIG


async def test_no_word_stands_in_redis(encrypted: Encrypted) -> None:
    session = MiniAgentSession("conversation", encrypted.url, user_id="ada")
    await Runner.run(AGENT, "turn canary", session=session, run_config=CONFIG)
    assert "it is found canary" in str(await session.get_items())
    encrypted.assert_absent(b"canary")
    await session._atomic_replace_items([{"role": "user", "content": "canary"}])
    encrypted.assert_absent(b"canary")
    assert b"conversation" in encrypted.everything()
    await session.close()
