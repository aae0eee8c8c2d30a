"""Stores to observe, on SQLite and on a real Redis, and collectors of what is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.observing.telemetry import Telemetry
from tests.places import place, redis_server

__all__ = ["place", "redis_server"]


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    collected = Telemetry()
    yield collected
    collected.shutdown()
