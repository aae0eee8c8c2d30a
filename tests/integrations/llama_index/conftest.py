"""Chat stores on each place, and what LlamaIndex itself warns of."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from miniagent_store.integrations.llama_index import MiniAgentChatStore

# Its workflows look at all attributes of an agent, the deprecated ones of pydantic too.
IGNORED = "ignore::pydantic.warnings.PydanticDeprecationWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(IGNORED))


@pytest.fixture
async def chat_store(url: str) -> AsyncIterator[MiniAgentChatStore]:
    store = MiniAgentChatStore(url)
    yield store
    await store.aclose()
