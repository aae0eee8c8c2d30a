"""Two processes on one session at once: one is first, and ADK's own error tells the other."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import groupby

import pytest

from miniagent_store.integrations.google_adk import MiniAgentSessionService
from tests.integrations.google_adk.conversation import load


@pytest.mark.parametrize("turns", [3, pytest.param(25, marks=pytest.mark.slow)])
async def test_no_turn_is_torn_and_no_event_lost(durable_url: str, turns: int) -> None:
    module = "tests.integrations.google_adk.conversation"
    async with MiniAgentSessionService(durable_url) as service:
        await load(service, "shared")
        started = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-W",
                    "ignore",
                    "-m",
                    module,
                    durable_url,
                    "shared",
                    name,
                    str(turns),
                    "contend",
                ],
                stdout=subprocess.PIPE,
                text=True,
            )
            for name in ("a", "b")
        ]
        told = [json.loads(each.communicate(timeout=200)[0].splitlines()[-1]) for each in started]
        session = await load(service, "shared")

    stored = [event.id for event in session.events]
    for each in told:
        assert [event_id for event_id in stored if event_id in set(each["stored"])] == each["stored"]
    blocks = [
        (run, list(events)) for run, events in groupby(session.events, lambda event: event.invocation_id)
    ]
    assert len({run for run, _ in blocks}) == len(blocks)
    whole = [events for _, events in blocks if len(events) == 5]
    assert len(whole) == 2 * turns
    said = [events[0].content.parts[0].text for events in whole]  # type: ignore[union-attr,index]
    for name in ("a", "b"):
        assert [text for text in said if f" {name}" in str(text)] == [
            f"turn {name}{number}" for number in range(1, turns + 1)
        ]
    # A turn that another was before is cut short, where it was: never in between.
    assert len(blocks) - len(whole) <= sum(each["conflicts"] for each in told)
