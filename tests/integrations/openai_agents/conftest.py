"""What the tests of this integration share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Each of their cases starts processes: on a cluster only where all is run.
PROCESSES = {"test_crash.py", "test_two_processes.py"}


@pytest.fixture
def own_loop() -> Iterator[None]:
    """A loop for `Runner.run_sync`, which leaves the thread's loop open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE and item.path.name in PROCESSES and "[cluster-" in item.name:
            item.add_marker(pytest.mark.slow)
