"""LangChain's own tests of caches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite

from miniagent_store.integrations.langchain import MiniAgentLLMCache


class TestBlocking(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, url: str) -> Iterator[MiniAgentLLMCache]:  # type: ignore[override]
        cache = MiniAgentLLMCache(url)
        yield cache
        cache.handle.close()


class TestAsync(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, url: str) -> AsyncIterator[MiniAgentLLMCache]:  # type: ignore[override]
        cache = MiniAgentLLMCache(url)
        yield cache
        await cache.handle.aclose()
