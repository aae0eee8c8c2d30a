"""A plugin for pytest that runs Strands' own tests on our stores: in the place of its files and dicts.

The store's URL is that of the variable STRANDS_URL; each test has a namespace of its own.
"""

from __future__ import annotations

import os
import sys
import uuid
import zlib
from types import ModuleType
from typing import Any

import pytest

from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.strands import MiniAgentSessionRepository, MiniAgentStorage

# Its conftest wants it for tests of S3, which are not run.
sys.modules.setdefault("moto", ModuleType("moto"))

URL = os.environ["STRANDS_URL"]
_handles: dict[str, StoreHandle] = {}


def _handle(name: str) -> StoreHandle:
    if name not in _handles:
        _handles[name] = StoreHandle(URL, namespace=name)
    return _handles[name]


class InMemoryStorage(MiniAgentStorage):
    def __init__(self, **options: Any) -> None:
        super().__init__(_handle(uuid.uuid4().hex), **options)


class LocalFileStorage(MiniAgentStorage):
    """What is opened in one folder is one storage."""

    def __init__(self, base_dir: str = "default") -> None:
        super().__init__(_handle(f"f{zlib.crc32(base_dir.encode()):x}-{os.getpid()}"))


class MockedSessionRepository(MiniAgentSessionRepository):
    def __init__(self) -> None:
        super().__init__(_handle(uuid.uuid4().hex))


_OURS = {each.__name__: each for each in (InMemoryStorage, LocalFileStorage, MockedSessionRepository)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for module in {item.getparent(pytest.Module).obj for item in items}:  # type: ignore[union-attr]
        for name, ours in _OURS.items():
            if hasattr(module, name):
                setattr(module, name, ours)


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    while _handles:
        _handles.popitem()[1].close()
