"""Stores that encrypt, on SQLite and on a real Redis."""

from __future__ import annotations

import pytest

from miniagent_store import Key, Keyring
from tests.places import place, redis_server

__all__ = ["place", "redis_server"]


@pytest.fixture
def old_key() -> Key:
    return Key.generate("old")


@pytest.fixture
def new_key() -> Key:
    return Key.generate("new")


@pytest.fixture
def ring(old_key: Key) -> Keyring:
    return Keyring([old_key])
