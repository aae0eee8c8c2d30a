"""What ADK asks of a session service, and its database service promises."""

from __future__ import annotations

import asyncio
import pickle
import time
from typing import Any

import pytest
from google.adk.cli.service_registry import get_service_registry
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions import Session
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

from miniagent_store import EncodeError, IdempotencyConflictError, StoreClosedError, open_store
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.google_adk import MiniAgentSessionService, register

NAMES = {"app_name": "app", "user_id": "ada"}


def event(number: int = 0, **delta: Any) -> Event:
    changes = {key.replace("__", ":"): value for key, value in delta.items()}
    return Event(author="user", invocation_id=f"inv{number}", actions=EventActions(state_delta=changes))


async def get(service: MiniAgentSessionService, session_id: str = "s", **config: Any) -> Session:
    wanted = GetSessionConfig(**config) if config else None
    session = await service.get_session(**NAMES, session_id=session_id, config=wanted)
    assert session is not None
    return session


# Sessions


async def test_created_loaded_and_deleted(service: MiniAgentSessionService) -> None:
    assert await service.get_session(**NAMES, session_id="s") is None
    assert await service.get_session(**NAMES, session_id=" ") is None
    session = await service.create_session(**NAMES, state={"key": "value", "temp:t": 1, "none": None})
    assert session.id
    assert session.state == {"key": "value", "none": None}
    assert abs(session.last_update_time - time.time()) < 60
    assert await get(service, session.id) == session
    await service.append_event(session, event(a=1))
    assert await get(service, session.id) == session
    await service.delete_session(**NAMES, session_id=session.id)
    await service.delete_session(**NAMES, session_id=session.id)
    assert await service.get_session(**NAMES, session_id=session.id) is None
    with pytest.raises(SessionNotFoundError):
        await service.append_event(session, event())


async def test_an_id_is_taken_once(service: MiniAgentSessionService) -> None:
    made = await asyncio.gather(
        *(service.create_session(**NAMES, session_id="s", state={"n": n}) for n in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Session) for each in made) == 1
    assert sum(isinstance(each, AlreadyExistsError) for each in made) == 4
    for app, user in (("app", "grace"), ("app2", "ada")):
        other = await service.create_session(app_name=app, user_id=user, session_id="s")
        assert other.state == {}


async def test_blanks_around_an_id_do_not_count(service: MiniAgentSessionService) -> None:
    assert (await service.create_session(**NAMES, session_id="  s ")).id == "s"
    assert (await get(service, " s  ")).id == "s"
    assert (await service.create_session(**NAMES, session_id="  ")).id.strip()
    await service.delete_session(**NAMES, session_id=" s ")
    assert await service.get_session(**NAMES, session_id="s") is None


async def test_names_that_could_meet_are_apart(service: MiniAgentSessionService) -> None:
    names = [
        ("a/b", "c", "d"),
        ("a", "b/c", "d"),
        ("a", "b", "c/d"),
        ("{é}", " ", "%"),
        ("google_adk", "app", "a"),
    ]
    for number, (app, user, session_id) in enumerate(names):
        await service.create_session(
            app_name=app,
            user_id=user,
            session_id=session_id,
            state={"n": number, "app:n": number, "user:n": number},
        )
    for number, (app, user, session_id) in enumerate(names):
        session = await service.get_session(app_name=app, user_id=user, session_id=session_id)
        assert session is not None
        assert (session.app_name, session.user_id, session.id) == (app, user, session_id)
        assert (session.state["n"], session.state["user:n"]) == (number, number)
        listed = (await service.list_sessions(app_name=app, user_id=user)).sessions
        assert [each.id for each in listed] == [session_id]


async def test_listed_oldest_first_with_state_and_without_events(service: MiniAgentSessionService) -> None:
    for user in ("ada", "grace"):
        for name in ("x", "y", "z"):
            await service.create_session(
                app_name="app",
                user_id=user,
                session_id=name,
                state={"own": name, "user:u": user, "app:a": 1},
            )
    await service.create_session(app_name="other", user_id="ada", session_id="no")
    session = await get(service, "x")
    later = session.last_update_time + 100
    await service.append_event(session, Event(author="user", timestamp=later))
    listed = (await service.list_sessions(**NAMES)).sessions
    assert [each.id for each in listed] == ["y", "z", "x"]
    assert listed[-1].last_update_time == later
    assert [each.state for each in listed] == [
        {"own": name, "user:u": "ada", "app:a": 1} for name in ("y", "z", "x")
    ]
    assert all(each.events == [] for each in listed)
    everyone = (await service.list_sessions(app_name="app")).sessions
    assert len(everyone) == 6
    assert {(each.user_id, each.state["user:u"]) for each in everyone} == {
        ("ada", "ada"),
        ("grace", "grace"),
    }
    assert (await service.list_sessions(app_name="none")).sessions == []


async def test_which_events_are_loaded(service: MiniAgentSessionService) -> None:
    session = await service.create_session(**NAMES, session_id="s")
    for timestamp in (1, 2, 3, 4.0004, 5):
        await service.append_event(session, Event(author="user", timestamp=timestamp))

    async def loaded(**config: Any) -> list[float]:
        return [each.timestamp for each in (await get(service, **config)).events]

    assert await loaded() == [1, 2, 3, 4.0004, 5]
    assert await loaded(num_recent_events=0) == []
    assert await loaded(num_recent_events=3) == [3, 4.0004, 5]
    assert await loaded(after_timestamp=4.0004) == [4.0004, 5]
    assert await loaded(after_timestamp=4.0005) == [5]
    assert await loaded(after_timestamp=50) == []
    assert await loaded(after_timestamp=4, num_recent_events=3) == [4.0004, 5]
    assert (await get(service, num_recent_events=0)).last_update_time == 5
    # One that shows only some events is as fresh as any.
    await service.append_event(await get(service, num_recent_events=1), event())


# Events


async def test_events_come_back_exactly(service: MiniAgentSessionService) -> None:
    session = await service.create_session(**NAMES, session_id="s")
    parts = [
        types.Part(text="émoji 🎉 \x00 {} %"),
        types.Part.from_bytes(data=bytes(range(256)), mime_type="image/png"),
        types.Part.from_function_call(name="f", args={"a": [1, None, {"b": 2.5}]}),
    ]
    full = Event(
        invocation_id="inv",
        author="user",
        content=types.Content(role="user", parts=parts),
        grounding_metadata=types.GroundingMetadata(
            search_entry_point=types.SearchEntryPoint(sdk_blob=b"blob"), web_search_queries=["q"]
        ),
        usage_metadata=types.GenerateContentResponseUsageMetadata(prompt_token_count=1),
        actions=EventActions(artifact_delta={"file": 0}, transfer_to_agent="agent", escalate=True),
        long_running_tool_ids={"tool1", "tool2"},
        error_code="code",
        custom_metadata={"none": None, "deep": [{"a": {}}]},
        timestamp=1700000000.123456,
        turn_complete=True,
        partial=False,
        branch="a.b",
    )
    await service.append_event(session, full)
    assert await get(service) == session
    assert (await get(service)).events == [full]


async def test_partial_events_are_not_stored(service: MiniAgentSessionService) -> None:
    session = await service.create_session(**NAMES, session_id="s")
    await service.append_event(session, Event(author="user", partial=True))
    assert session.events == []
    assert (await get(service)).events == []


async def test_an_event_is_one_commit_with_its_state(url: str) -> None:
    async with open_store(url) as store, MiniAgentSessionService(store) as service:
        session = await service.create_session(**NAMES, session_id="s", state={"a": 1})
        await service.append_event(session, event(b=2, user__u=3, temp__t=4))
        record = await store.get("app/ada/s")
        assert (record.version, record.message_count) == (2, 1)
        assert (record.user_id, record.agent) == ("ada", "app")


async def test_given_again_it_is_stored_once(service: MiniAgentSessionService) -> None:
    session = await service.create_session(**NAMES, session_id="s")
    before = session.model_copy(deep=True)
    first, second = event(1, n=1, user__n=1), event(2, n=2, user__n=2)
    await service.append_event(session, first)
    # The reply was lost: what is shown is what was before.
    await service.append_event(before, first.model_copy(deep=True))
    assert before == session
    await service.append_event(session, second)
    await service.append_event(session, first)
    found = await get(service)
    assert [each.invocation_id for each in found.events] == ["inv1", "inv2"]
    assert (found.state["n"], found.state["user:n"]) == (2, 2)
    assert found == session
    with pytest.raises(IdempotencyConflictError):
        await service.append_event(session, first.model_copy(update={"author": "someone else"}))
    assert await get(service) == found


async def test_a_stale_session_is_refused(service: MiniAgentSessionService) -> None:
    stale = await service.create_session(**NAMES, session_id="s")
    await service.append_event(stale, event(1, a=1))
    fresh = await get(service)
    await service.append_event(fresh, event(2, b=2))
    with pytest.raises(StaleSessionError, match="modified in storage"):
        await service.append_event(stale, event(3, c=3))
    found = await get(service)
    assert [each.invocation_id for each in found.events] == ["inv1", "inv2"]
    assert "c" not in found.state
    await service.delete_session(**NAMES, session_id="s")
    await service.create_session(**NAMES, session_id="s")
    with pytest.raises(StaleSessionError):
        await service.append_event(fresh, event(4))


async def test_one_of_two_that_append_at_once_is_stale(service: MiniAgentSessionService) -> None:
    await service.create_session(**NAMES, session_id="s")
    for number in range(8):
        loaded = await get(service)
        copies = [loaded.model_copy(deep=True) for _ in range(3)]
        results = await asyncio.gather(
            *(service.append_event(each, event(number, **{f"k{n}": n})) for n, each in enumerate(copies)),
            return_exceptions=True,
        )
        assert sum(isinstance(each, StaleSessionError) for each in results) == 2
    assert len((await get(service)).events) == 8


async def test_branches_of_a_run_append_to_one_object_at_once(service: MiniAgentSessionService) -> None:
    session = await service.create_session(**NAMES, session_id="s")
    await asyncio.gather(
        *(service.append_event(session, event(n, **{f"k{n}": n, "user__last": n})) for n in range(20))
    )
    assert await get(service) == session
    assert len(session.events) == 20


async def test_a_session_that_was_not_loaded_here(service: MiniAgentSessionService) -> None:
    session = await service.create_session(**NAMES, session_id="s")
    await service.append_event(session, Event(author="user", timestamp=session.last_update_time + 10))
    session._storage_update_marker = None
    session.last_update_time -= 0.0001
    await service.append_event(session, event(2))
    assert len((await get(service)).events) == 2
    old = Session(app_name="app", user_id="ada", id="s", last_update_time=1)
    with pytest.raises(StaleSessionError):
        await service.append_event(old, event(3))
    missing = Session(app_name="app", user_id="ada", id="none")
    with pytest.raises(SessionNotFoundError):
        await service.append_event(missing, event(3))


async def test_what_has_begun_ends_though_it_is_cancelled(service: MiniAgentSessionService) -> None:
    session = await service.create_session(**NAMES, session_id="s")
    tasks = [asyncio.create_task(service.append_event(session, event(n, n=n))) for n in range(5)]
    await asyncio.sleep(0)
    for task in tasks[:3]:
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await get(service) == session
    assert [each.invocation_id for each in session.events][-2:] == ["inv3", "inv4"]
    await service.append_event(session, event(9))


# State


async def test_scopes(service: MiniAgentSessionService) -> None:
    state = {"own": 1, "user:u": 2, "app:a": 3, "temp:t": 4}
    session = await service.create_session(**NAMES, session_id="s", state=state)
    assert session.state == {"own": 1, "user:u": 2, "app:a": 3}
    given = event(own2=1, user__u2=2, app__a2=None, temp__t=4)
    await service.append_event(session, given)
    assert session.state["temp:t"] == 4
    assert "temp:t" not in given.actions.state_delta
    wanted = {"own": 1, "own2": 1, "user:u": 2, "user:u2": 2, "app:a": 3, "app:a2": None}
    assert (await get(service)).state == wanted
    same_user = await service.create_session(**NAMES)
    assert same_user.state == {"user:u": 2, "user:u2": 2, "app:a": 3, "app:a2": None}
    other_user = await service.create_session(app_name="app", user_id="grace")
    assert other_user.state == {"app:a": 3, "app:a2": None}
    assert (await service.create_session(app_name="other", user_id="ada")).state == {}
    assert await service.get_user_state(**NAMES) == {"u": 2, "u2": 2}
    assert await service.get_user_state(app_name="app", user_id="grace") == {}
    await service.delete_session(**NAMES, session_id="s")
    assert await service.get_user_state(**NAMES) == {"u": 2, "u2": 2}


async def test_sessions_of_a_user_change_its_state_at_once(service: MiniAgentSessionService) -> None:
    sessions = [await service.create_session(**NAMES) for _ in range(5)]
    await asyncio.gather(
        *(
            service.append_event(each, event(**{f"user__{n}": n, "app__n": n}))
            for n, each in enumerate(sessions)
        )
    )
    assert await service.get_user_state(**NAMES) == {str(n): n for n in range(5)}


async def test_any_text_is_a_key(service: MiniAgentSessionService) -> None:
    keys = ["%", "%20", " ", "a/b", "{x}", "é🎉", "\n\x00", "v/", "updated", "x" * 300, "applied/1"]
    session = await service.create_session(
        **NAMES, session_id="s", state={f"user:{key}": 1 for key in keys}
    )
    delta = {prefix + key: [key] for key in keys for prefix in ("", "app:")}
    await service.append_event(session, Event(author="user", actions=EventActions(state_delta=delta)))
    found = (await get(service)).state
    assert found == {**delta, **{f"user:{key}": 1 for key in keys}}


async def test_what_is_no_json_is_refused(service: MiniAgentSessionService) -> None:
    with pytest.raises(EncodeError) as caught:
        await service.create_session(**NAMES, session_id="s", state={"f": lambda: "secret"})
    assert "secret" not in str(caught.value)
    assert await service.get_session(**NAMES, session_id="s") is None


async def test_ttls(url: str) -> None:
    async with open_store(f"{url}&ttl=1h") as store:
        service = MiniAgentSessionService(store, shared_state_ttl="30d")
        session = await service.create_session(**NAMES, session_id="s", state={"user:u": 1})
        await service.append_event(session, event(app__a=1))
        assert (await store.get("app/ada/s")).ttl == 3600
        for name in ("app/app", "user/app/ada"):
            assert (await store.get(f"google_adk/state/{name}")).ttl == 30 * 86400
        # What holds off a second application goes after the session, not with every event for ever.
        marks = await store.state("google_adk/state/app/app").scan("applied/")
        assert [mark.expires_at is not None for mark in marks] == [True]


# The service


async def test_closed_pickled_and_shown(url: str) -> None:
    service = MiniAgentSessionService(url)
    session = await service.create_session(**NAMES, session_id="s")
    await service.flush()
    async with pickle.loads(pickle.dumps(service)) as again:
        await again.append_event(session, event(a=1))
        assert (await get(service)).state == {"a": 1}
    await service.close()
    with pytest.raises(StoreClosedError):
        await get(service)
    handle = StoreHandle(url)
    async with MiniAgentSessionService(handle) as service:
        await get(service)
    assert not handle.closed
    await handle.aclose()
    assert "secret" not in repr(MiniAgentSessionService("redis://ada:secret@db:6379/0"))


async def test_uri_scheme(url: str) -> None:
    register()
    register("plugin")
    made = get_service_registry().create_session_service("miniagent+" + url, agents_dir="x")
    assert isinstance(made, MiniAgentSessionService)
    await made.create_session(**NAMES, session_id="s")
    async with MiniAgentSessionService(url) as service:
        if not url.startswith("memory:"):
            await get(service)
    await made.close()
