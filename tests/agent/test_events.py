"""Callbacks."""

from __future__ import annotations

import logging

import pytest

from miniagent_store import InvalidArgumentError
from miniagent_store.agent.events import Callbacks, Event, EventType, emitter_of
from tests.agent import miniagent_like


async def test_handlers_hear_what_they_asked_for_until_they_are_taken_off() -> None:
    told: list[str] = []

    async def later(event: Event) -> None:
        told.append(f"async {event.type}")

    def now(event: Event) -> None:
        told.append(f"sync {event.type}")

    callbacks = Callbacks().on(EventType.TOOL_CALL, now).on("tool_call", later).on_any(now)
    await callbacks.emit(Event(EventType.TOOL_CALL))
    await callbacks.emit(Event(EventType.CACHE_HIT))
    callbacks.off(EventType.TOOL_CALL, now)
    await callbacks.emit(Event(EventType.TOOL_CALL))
    callbacks.off(EventType.TOOL_CALL)
    await callbacks.emit(Event(EventType.TOOL_CALL))

    assert told == [
        "sync tool_call",
        "async tool_call",
        "sync tool_call",
        "sync cache_hit",
        "async tool_call",
        "sync tool_call",
        "sync tool_call",
    ]


async def test_a_handler_that_fails_is_logged_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("oh")

    told: list[Event] = []
    callbacks = Callbacks().on_any(broken).on_any(told.append)

    with caplog.at_level(logging.ERROR, "miniagent_store"):
        await callbacks.emit(Event(EventType.CACHE_MISS))

    assert len(told) == 1
    assert "a handler of the event 'cache_miss' failed" in caplog.text


async def test_another_frameworks_enum_members_are_the_same_events() -> None:
    told: list[miniagent_like.Event] = []
    callbacks = Callbacks().on(EventType.STREAM_CHUNK, told.append)

    await callbacks.emit(miniagent_like.Event(miniagent_like.EventType.STREAM_CHUNK, "x"))

    assert [event.data for event in told] == ["x"]


async def test_events_that_the_other_framework_does_not_know_are_not_told_to_it() -> None:
    callbacks = miniagent_like.StreamCallback()

    await emitter_of(callbacks).emit(Event(EventType.CACHE_HIT))


@pytest.mark.parametrize("callbacks", [42, [42], "abc"])
def test_what_are_no_callbacks_is_refused(callbacks: object) -> None:
    with pytest.raises(InvalidArgumentError):
        emitter_of(callbacks)


def test_an_event_travels_as_a_dict() -> None:
    event = Event(EventType.TOOL_CALL, {"tool": "clock"}, {"session_id": "s1"})

    assert event.to_dict() == {
        "type": "tool_call",
        "data": {"tool": "clock"},
        "metadata": {"session_id": "s1"},
        "timestamp": event.timestamp.isoformat(),
    }
    assert event.content is event.data
