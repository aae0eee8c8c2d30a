"""With encryption on, what was said and kept stands nowhere in Redis."""

from __future__ import annotations

from miniagent_store.integrations.google_adk import MiniAgentSessionService
from tests.integrations.conftest import Encrypted
from tests.integrations.google_adk.conversation import APP, USER, runner_on, take_turn


async def test_no_word_stands_in_redis(encrypted: Encrypted) -> None:
    names = {"app_name": APP, "user_id": USER, "session_id": "conversation"}
    async with MiniAgentSessionService(encrypted.url) as service:
        state = {"own": "secretword", "user:u": "secretword", "app:a": "secretword"}
        await service.create_session(**names, state=state)
        await take_turn(runner_on(service), "conversation", "secretword")
        session = await service.get_session(**names)
        assert session is not None
        assert session.state["latest"] == session.state["own"] == "secretword"
    # Names of state values are no values: the one that this agent makes of a word is not looked for.
    everything = encrypted.everything().replace(b"v/secretword", b"")
    assert b"conversation" in everything
    assert b"secretword" not in everything
