"""`MiniAgentSessionStore`: what a session store promises, and who may overwrite what."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest
from agent_framework import AgentSession, Message

from miniagent_store import StoreError, VersionConflictError
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.agent_framework import MiniAgentSessionStore


def made(session_id: str = "inner", **state: Any) -> AgentSession:
    session = AgentSession(session_id=session_id, service_session_id={"response": "r1"})
    session.state.update(state)
    return session


async def test_get_set_delete(url: str) -> None:
    store = MiniAgentSessionStore(url)
    assert await store.get("s") is None
    await store.set("s", made(messages=[Message("user", ["hello"])], plain={"a": [1, None, "ä"]}))
    found = await store.get("s")
    assert found is not None
    assert (found.session_id, found.service_session_id) == ("inner", {"response": "r1"})
    assert found.state["messages"][0].text == "hello"
    assert found.state["plain"] == {"a": [1, None, "ä"]}
    await store.delete("s")
    await store.delete("s")
    assert await store.get("s") is None


async def test_reads_are_copies(url: str) -> None:
    store = MiniAgentSessionStore(url)
    session = made(n=[1])
    await store.set("s", session)
    session.state["n"].append(2)
    first = await store.get("s")
    assert first is not None
    first.state["n"].append(3)
    second = await store.get("s")
    assert second is not None
    assert second.state["n"] == [1]


@pytest.mark.parametrize("session_id", ["a/b", "..", "ä{}", "CON", "x" * 128, " "])
async def test_any_id_will_do(url: str, session_id: str) -> None:
    store = MiniAgentSessionStore(url)
    await store.set(session_id, made(name=session_id))
    found = await store.get(session_id)
    assert found is not None
    assert found.state == {"name": session_id}


async def test_what_is_refused() -> None:
    store: Any = MiniAgentSessionStore("memory://")

    class Special(AgentSession):
        pass

    for session_id in ("", None, 3):
        with pytest.raises(ValueError, match="non-empty"):
            await store.get(session_id)
    with pytest.raises(TypeError, match="AgentSession"):
        await store.set("s", Special())
    with pytest.raises(ValueError, match="not JSON compliant"):
        await store.set("s", made(x=float("nan")))
    with pytest.warns(RuntimeWarning, match="unsupported"), pytest.raises(TypeError):
        await store.set("s", made(x=object()))
    assert await store.get("s") is None


async def test_what_was_got_and_set_since_is_not_overwritten(url: str) -> None:
    one, other = MiniAgentSessionStore(url), MiniAgentSessionStore(url)
    await one.set("s", made(n=0))
    mine, theirs, also_mine = await one.get("s"), await other.get("s"), await one.get("s")
    assert mine is not None
    assert theirs is not None
    assert also_mine is not None
    await one.set("s", mine)
    await one.set("s", mine)
    for store, stale in ((other, theirs), (one, also_mine)):
        with pytest.raises(VersionConflictError):
            await store.set("s", stale)
    await one.delete("s")
    with pytest.raises(VersionConflictError):
        await one.set("s", mine)
    await other.set("s", made(n="new"))
    with pytest.raises(VersionConflictError):
        await one.set("s", mine)
    # A session that came from elsewhere replaces, as the contract has it; so does one under another id.
    await other.set("s", made(n="replaced"))
    await other.set("elsewhere", mine)


async def test_a_new_session_does_not_replace_one_that_was_made_meanwhile(url: str) -> None:
    one, other = MiniAgentSessionStore(url), MiniAgentSessionStore(url)
    for store in (one, one, other):
        assert await store.get("s") is None
    await one.set("s", made(n="first"))
    for store in (one, other):
        with pytest.raises(VersionConflictError):
            await store.set("s", made(n="second"))
        found = await store.get("s")
        assert found is not None
        assert found.state == {"n": "first"}


async def test_a_commit_that_has_begun_ends(url: str) -> None:
    store = MiniAgentSessionStore(url)
    session = made(n=1)
    assert await store.get("s") is None
    setting = asyncio.create_task(store.set("s", session))
    await asyncio.sleep(0)
    for _ in range(3):
        setting.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await setting
    # It is known here as set, and no conflict.
    session.state["n"] = 2
    await store.set("s", session)
    found = await store.get("s")
    assert found is not None
    assert found.state == {"n": 2}


async def test_pickled_and_with_a_ttl(durable_url: str) -> None:
    store = MiniAgentSessionStore(f"{durable_url}&ttl=1h", prefix="mine")
    await store.set("s", made())
    again = pickle.loads(pickle.dumps(store))
    assert await again.get("s") is not None
    assert (await StoreHandle(durable_url).run(lambda found: found.get("mine/s"))).ttl == 3600


async def test_an_id_that_is_too_long_is_refused() -> None:
    with pytest.raises(StoreError):
        await MiniAgentSessionStore("memory://").set("x" * 600, made())
