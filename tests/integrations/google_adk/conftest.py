"""What the tests of this integration share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from miniagent_store.integrations.google_adk import MiniAgentSessionService

# ADK warns of what is experimental, such as the resuming of a run, and its libraries of their own.
IGNORED = (
    r"ignore:\[EXPERIMENTAL\]:UserWarning",
    "ignore::DeprecationWarning:google",
    "ignore::DeprecationWarning:authlib",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "google_adk":
            for each in IGNORED:
                item.add_marker(pytest.mark.filterwarnings(each))


@pytest.fixture(params=[0, 2], ids=["", "kept"])
async def service(url: str, request: pytest.FixtureRequest) -> AsyncIterator[MiniAgentSessionService]:
    async with MiniAgentSessionService(url, keep_events_of=request.param) as service:
        yield service
