"""A plugin for LangGraph's own tests: its savers in memory are ours, on the store that STORE_URL names.

What its conftest imports for databases that are not asked for is replaced by nothing.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest

# Their conftest reads this when it is imported.
os.environ["NO_DOCKER"] = "true"
for missing in (
    "psycopg",
    "psycopg.rows",
    "psycopg_pool",
    "langgraph.checkpoint.postgres",
    "langgraph.checkpoint.postgres.aio",
    "langgraph.store.postgres",
    "langgraph.store.postgres.aio",
):
    try:
        __import__(missing)
    except (ImportError, AttributeError):
        sys.modules[missing] = MagicMock(spec_set=None, __name__=missing, __path__=[], __spec__=None)

from miniagent_store.handle import StoreHandle  # noqa: E402
from miniagent_store.integrations.langgraph import MiniAgentSaver  # noqa: E402


class InMemorySaver(MiniAgentSaver):
    """A saver on an empty part of the store, in the place of theirs."""

    def __init__(self, **options: Any) -> None:
        handle = StoreHandle(os.environ["STORE_URL"], namespace=uuid.uuid4().hex)
        super().__init__(handle, serde=options.get("serde"))


@contextmanager
def _checkpointer_memory() -> Iterator[MiniAgentSaver]:
    saver = InMemorySaver()
    yield saver
    saver.handle.close()


def pytest_configure(config: pytest.Config) -> None:
    import tests.conftest_checkpointer as theirs

    theirs._checkpointer_memory = _checkpointer_memory


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen: list[pytest.Item] = []
    for item in items:
        module: ModuleType = item.module  # type: ignore[attr-defined]
        for name in ("InMemorySaver", "MemorySaver"):
            if hasattr(module, name):
                setattr(module, name, InMemorySaver)
        params = item.callspec.params if hasattr(item, "callspec") else {}
        places = [params.get("sync_checkpointer"), params.get("async_checkpointer")]
        if params.get("cache", "memory") == "memory" and set(places) <= {None, "memory"}:
            chosen.append(item)
    items[:] = chosen
