"""What the tests of this integration share."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

with warnings.catch_warnings():
    # Older releases warn of themselves when they are imported.
    warnings.simplefilter("ignore")
    from google.adk.agents import Agent  # noqa: F401

    from miniagent_store.integrations.google_adk import MiniAgentSessionService

HERE = Path(__file__).parent
# Each of their cases starts processes: on a cluster only where all is run.
PROCESSES = {"test_crash.py", "test_two_processes.py"}
# ADK warns of what is experimental, such as the resuming of a run, and its libraries of their own.
IGNORED = (
    r"ignore:\[EXPERIMENTAL\]:UserWarning",
    "ignore::DeprecationWarning:google",
    "ignore::DeprecationWarning:authlib",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE:
            for each in IGNORED:
                item.add_marker(pytest.mark.filterwarnings(each))
            if item.path.name in PROCESSES and "[cluster-" in item.name:
                item.add_marker(pytest.mark.slow)


@pytest.fixture(params=[0, 2], ids=["", "kept"])
async def service(url: str, request: pytest.FixtureRequest) -> AsyncIterator[MiniAgentSessionService]:
    async with MiniAgentSessionService(url, keep_events_of=request.param) as service:
        yield service
