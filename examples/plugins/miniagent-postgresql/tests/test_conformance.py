"""Every promise of a session store, held by PostgreSQL."""

from __future__ import annotations

import pytest
from postgres_server import PostgresServer

from miniagent_store.testing import StoreConformance


class TestPostgres(StoreConformance):
    @pytest.fixture
    def store_url(self, server: PostgresServer) -> str:
        return server.url
