"""A Strands agent whose conversation outlives its process, offline with a fake model.

    python examples/frameworks/strands_agent.py [URL]

Any store URL will do, such as redis://localhost:6379/0; a SQLite file in a new folder by default.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import AsyncIterator
from typing import Any

from strands import Agent, tool
from strands.models import Model
from strands.session import SnapshotSessionManager
from strands.types.exceptions import StorageError

from miniagent_store.integrations.strands import MiniAgentStorage


class FakeModel(Model):
    """Asks for the weather of the last word, then tells it."""

    def update_config(self, **config: Any) -> None: ...

    def get_config(self) -> dict[str, Any]:
        return {"context_window_limit": 200_000}

    def structured_output(self, *arguments: Any, **options: Any) -> Any:
        raise NotImplementedError

    async def stream(self, messages: Any, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
        last = messages[-1]["content"][0]
        yield {"messageStart": {"role": "assistant"}}
        if result := last.get("toolResult"):
            yield {"contentBlockStart": {"start": {}}}
            yield {"contentBlockDelta": {"delta": {"text": result["content"][0]["text"]}}}
        else:
            use = {"name": "weather", "toolUseId": f"use-{len(messages)}"}
            yield {"contentBlockStart": {"start": {"toolUse": use}}}
            city = json.dumps({"city": last["text"].split()[-1]})
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": city}}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn" if result else "tool_use"}}


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


def guide(url: str) -> Agent:
    manager = SnapshotSessionManager("trip", storage=MiniAgentStorage(url))
    return Agent(
        FakeModel(), tools=[weather], session_manager=manager, agent_id="guide", callback_handler=None
    )


def main(url: str) -> None:
    for question in ("What about Rome", "And Oslo"):
        # A new agent each time, as in another process: what was said before comes from the store.
        agent = guide(url)
        print(f"{len(agent.messages)} messages so far. {question}? {str(agent(question)).strip()}")

    one, other = guide(url), guide(url)
    one("And Lima")
    try:
        other("And Cairo")
    except StorageError as error:
        print(f"Two agents in one session: {error}.")
    print(f"{len(guide(url).messages)} messages are stored.")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/trip.db")
