"""The conformance suite on the backends that come with the library, and on each serializer."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from miniagent_store.testing import StoreConformance
from miniagent_store.testing.conformance.logs import LogPromises
from miniagent_store.testing.conformance.message_ids import MessageIdPromises


class TestMemory(StoreConformance):
    """Each store has its own sessions."""

    @pytest.fixture
    def store_url(self) -> str:
        return "memory://"


@pytest.mark.slow
class TestNamedMemory(StoreConformance):
    """Stores of one process share what has a name."""

    same_place = True

    @pytest.fixture
    def store_url(self) -> str:
        return f"memory://{uuid.uuid4().hex}"


class TestSqlite(StoreConformance):
    """A file, shared by processes."""

    @pytest.fixture
    def store_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/sessions.db"


@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.parametrize("scheme", ["memory", "sqlite"])
@pytest.mark.parametrize("serializer", ["json", "orjson", "msgpack+crc32"])
class TestOtherSerializers(LogPromises, MessageIdPromises):
    """What depends on how values are written; the rest of the suite runs on msgpack."""

    @pytest.fixture
    def store_url(self, scheme: str, tmp_path: Path) -> str:
        return "memory://" if scheme == "memory" else f"sqlite:///{tmp_path}/sessions.db"

    @pytest.fixture
    def store_options(self, serializer: str) -> dict[str, Any]:
        return {"serializer": serializer}
