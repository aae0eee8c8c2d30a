"""Every index keeps every promise of an index."""

from __future__ import annotations

from functools import partial

import pytest

from miniagent_backends.redis.vector_sets import FACTORY
from miniagent_store.indexing.exact import CAPABILITIES, ExactIndex
from miniagent_store.indexing.near import CAPABILITIES as NEAR
from miniagent_store.indexing.near import NearIndex
from miniagent_store.testing import VectorIndexConformance
from miniagent_store.testing.servers import Server
from miniagent_store.vector_index import IndexFactory


class TestExact(VectorIndexConformance):
    @pytest.fixture
    def factory(self) -> IndexFactory:
        return IndexFactory(ExactIndex, CAPABILITIES["float32"])


class TestInt8(VectorIndexConformance):
    @pytest.fixture
    def factory(self) -> IndexFactory:
        return IndexFactory(partial(ExactIndex, precision="int8"), CAPABILITIES["int8"])


class TestUsearch(VectorIndexConformance):
    @pytest.fixture
    def factory(self) -> IndexFactory:
        return IndexFactory(NearIndex, NEAR)


class TestVectorSet(VectorIndexConformance):
    @pytest.fixture
    def store_url(self, vectors_server: Server) -> str:
        return f"{vectors_server.url}/0"

    @pytest.fixture
    def factory(self) -> IndexFactory:
        return FACTORY
