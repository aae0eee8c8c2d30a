"""Events that are kept follow what others do to a session."""

from __future__ import annotations

from google.adk.events.event import Event

from miniagent_store import open_store
from miniagent_store.integrations.google_adk import MiniAgentSessionService
from tests.integrations.google_adk.conversation import APP, USER, load


async def test_kept_events_follow_what_others_do(url: str) -> None:
    record = f"{APP}/{USER}/s"
    async with open_store(url) as store:
        keeping, plain = MiniAgentSessionService(store, keep_events_of=1), MiniAgentSessionService(store)

        async def agree(count: int) -> None:
            ours = await load(keeping, "s")
            assert ours == await load(plain, "s")
            assert len(ours.events) == count

        await agree(0)
        for count in range(1, 6):
            await plain.append_event(await load(plain, "s"), Event(author="user"))
            await agree(count)
        await store.pop(record)
        await agree(4)
        await store.redact(record, 2, reason="asked for")
        await agree(3)
        await store.trim(record, before=2)
        await agree(2)
        await plain.append_event(await load(plain, "s"), Event(author="user"))
        await agree(3)
        await load(keeping, "other")
        await agree(3)
        await store.clear(record)
        await agree(0)
        await plain.delete_session(app_name=APP, user_id=USER, session_id="s")
        await agree(0)


async def test_kept_events_are_the_same_objects(url: str) -> None:
    async with MiniAgentSessionService(url, keep_events_of=1) as service:
        session = await load(service, "s")
        for _ in range(3):
            await service.append_event(session, Event(author="user"))
        one, two = await load(service, "s"), await load(service, "s")
        assert [*map(id, one.events)] == [*map(id, two.events)]
        one.events.clear()
        assert len(two.events) == len((await load(service, "s")).events) == 3
