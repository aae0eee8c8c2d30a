"""Storages on each place."""

from collections.abc import AsyncIterator

import pytest

from miniagent_store.integrations.ag2 import MiniAgentStorage


@pytest.fixture
async def storage(url: str) -> AsyncIterator[MiniAgentStorage]:
    made = MiniAgentStorage(url)
    yield made
    await made.aclose()
