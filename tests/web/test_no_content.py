"""``--no-content``: whatever is asked, nothing of what was said is in the answer."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from miniagent_store import Message, SessionStore
from miniagent_store.web import viewer
from tests.web.crawling import Crawl, forms_of, pages_of
from tests.web.served import TOKEN, listening

# In all that was said, in metadata and in each value of the state. Who and how much, what logs and values
# are called, and why something was redacted is for those who operate.
CANARY = "canary"


# What pages may be asked; others take no heed of it.
QUERIES = (
    "id=one",
    "id=one&log=notes&seq=1",
    "",
    "id=one&log=events&before=5",
    "id=one&seq=2&around=4&at=3",
    "id=one&at=3&with=two&with_at=5",
    "id=one&view=state&format=json",
    "id=one&view=record&format=plain",
    "q=user&text=user",
)


def _few(path: str, route: Route) -> int | None:
    """How many of these a page is asked: one that streams, one that acts, any other."""
    if path.endswith("-live"):
        return 1
    return 2 if "POST" in (route.methods or ()) else None


async def _fill(store: SessionStore, session_id: str) -> None:
    await store.create(
        session_id,
        user_id="user-to-be-seen",
        agent="agent-to-be-seen",
        tags=["tag-to-be-seen"],
        metadata={"canary-metadata-name": "canary-metadata", "nested": {"deep": ["canary-metadata-deep"]}},
        exist_ok=True,
    )
    await _say(store, session_id, "first")
    async with store.batch(session_id) as batch:
        batch.state.set("state-to-be-seen", "canary-state")
        batch.state.set("other-to-be-seen", {"nested": ["canary-state-deep"]})
    await store.redact(session_id, 2, reason="reason-to-be-seen")


async def _say(store: SessionStore, session_id: str, when: str) -> None:
    call = {
        "id": "canary-call",
        "type": "function",
        "function": {"name": "canary_tool", "arguments": '{"canary-argument": "canary-given"}'},
    }
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "canary-part"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,canaryAAAA"}},
        {"type": "canary-kind", "anything": "canary-anything"},
    ]
    await store.append(
        session_id,
        Message.system(f"canary-system-{when}"),
        Message.user(f"canary-to-be-redacted-{when}"),
        Message.user(f"canary-user-{when}", name="canary-name", **{"canary-field": "canary-field-value"}),
        Message.user(parts),
        Message.assistant("# canary-heading\n\n**canary-bold** `canary-code`"),
        Message.assistant(None, tool_calls=[call]),
        Message.tool('{"canary-result": 1}', tool_call_id="canary-call", name="canary_tool"),
    )
    await store.append(session_id, {"kind": "canary-event", "canary-key": when}, log="events")
    await store.append(session_id, {"canary-key": "canary-note"}, log="notes")


async def test_nothing_of_what_was_said_is_in_any_answer(one: SessionStore) -> None:
    await _look_everywhere(one)


@pytest.mark.slow
async def test_on_no_store(store: SessionStore) -> None:
    await _look_everywhere(store)


async def _look_everywhere(store: SessionStore) -> None:
    for name in ("one", "two"):
        await _fill(store, name)
    app = viewer(store, token=TOKEN, content=False, allow_write=True)
    async with (
        listening(app) as at,
        httpx.AsyncClient(base_url=at.origin, timeout=60) as client,
    ):
        await client.get(at.link)
        crawl = Crawl(client)
        pages = pages_of(app)
        talking = asyncio.create_task(_talk_on(store))
        for path, route in pages.items():
            assert "{" not in path, "ids travel as query values"
            if "GET" in (route.methods or ()) and path != "/enter":
                for query in QUERIES[: _few(path, route)]:
                    await crawl.follow(f"{path}?{query}")
        talking.cancel()
        for number, path in enumerate(pages):
            if "POST" in (pages[path].methods or ()):
                await _fill(store, f"act-{number}")
                asked = await client.get(
                    path, params={"id": f"act-{number}", "seq": "3", "log": "messages"}
                )
                for form in forms_of(asked.text):
                    await crawl.send(
                        form, {"reason": "because", "to": "2", "ttl": "1h", "new_id": f"new-{number}"}
                    )
        found = {
            address: [line for line in answer.splitlines() if CANARY in line.lower()][:3]
            for address, answer in crawl.answers.items()
        }
        assert {address: lines for address, lines in found.items() if lines} == {}
        assert crawl.paths >= {path for path in pages if path != "/enter"}
        answers = "\n".join(crawl.answers.values())
        for seen in ("user", "agent", "tag", "state", "reason"):
            assert f"{seen}-to-be-seen" in answers
        failed = [address for address, answer in crawl.answers.items() if answer.startswith("500")]
        assert failed == []


async def _talk_on(store: SessionStore) -> None:
    """Streams have something to tell."""
    number = 0
    while True:
        await _say(store, "one", f"later-{number}")
        async with store.batch("one") as batch:
            batch.state.set("state-to-be-seen", f"canary-state-{number}")
        await store.update("one", metadata={"canary-metadata-name": f"canary-{number}"})
        number += 1
        await asyncio.sleep(0.3)
