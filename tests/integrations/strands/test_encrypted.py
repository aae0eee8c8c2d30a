"""With encryption on, no word of a conversation stands in Redis; ids may."""

from __future__ import annotations

import pytest

from tests.integrations.conftest import Encrypted
from tests.integrations.strands.conversation import agent
from tests.integrations.strands.test_conversations import MANAGERS


@pytest.mark.parametrize("kind", MANAGERS)
def test_encrypted(kind: str, encrypted: Encrypted) -> None:
    guide = agent(kind, encrypted.url)
    guide.state.set("secret", "canary-of-state")
    guide("How is it in canary-of-message")
    again = agent(kind, encrypted.url)
    assert "canary-of-message" in str(again.messages)
    assert again.state.get("secret") == "canary-of-state"
    encrypted.assert_absent(b"canary")
