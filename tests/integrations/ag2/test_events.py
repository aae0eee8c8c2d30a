"""Events come back as they were, with classes of a list only."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import uuid4

import pytest
from ag2 import MemoryStream
from ag2.context import ConversationContext as Context
from ag2.events import (
    BaseEvent,
    BinaryInput,
    DataInput,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TaskCompleted,
    TaskFailed,
    TextInput,
    ToolCallEvent,
    ToolCallsEvent,
    ToolErrorEvent,
    ToolResultEvent,
    ToolResultsEvent,
    UsageEvent,
)
from ag2.events._serialization import deserialize_value, serialize_value
from ag2.events.tool_events import ToolResult
from ag2.events.types import BinaryResult, Usage
from ag2.task import TaskSpec
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from miniagent_store import DecodeError, EncodeError, Entry, open_store
from miniagent_store.integrations.ag2 import MiniAgentStorage
from miniagent_store.integrations.ag2.events import Events

texts = st.text(max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
mappings = st.dictionaries(texts, json_values, max_size=3)
calls = st.builds(ToolCallEvent, texts, arguments=texts, vendor_metadata=mappings)
inputs = st.one_of(
    st.builds(TextInput, texts),
    st.builds(DataInput, json_values),
    st.builds(BinaryInput, st.binary(max_size=9), media_type=st.just("image/png")),
)
results = st.builds(
    lambda parts, metadata: ToolResult(parts=parts, metadata=metadata),
    st.lists(inputs, max_size=2),
    mappings,
)
usages = st.builds(Usage, st.none() | st.floats(0, 9), st.none() | st.floats(0, 9))
tool_results = st.builds(ToolResultEvent, parent_id=texts, name=texts, result=results)
events = st.one_of(
    calls,
    tool_results,
    st.builds(ModelRequest, st.lists(inputs, max_size=2)),
    st.builds(ToolResultsEvent, st.lists(tool_results, max_size=2)),
    st.builds(
        ModelResponse,
        st.none() | st.builds(ModelMessage, texts, metadata=mappings),
        tool_calls=st.builds(ToolCallsEvent, st.lists(calls, max_size=2)),
        usage=usages,
        files=st.lists(st.builds(BinaryResult, st.binary(max_size=5), mappings), max_size=1),
    ),
    st.builds(UsageEvent, usages, model=texts),
    st.builds(
        TaskCompleted,
        task_id=texts,
        agent_name=texts,
        objective=texts,
        result=json_values,
        task_stream=st.uuids(),
    ),
)


def back_and_forth(event: BaseEvent, types: tuple[type, ...] = ()) -> Any:
    encoded = Events(types).encode(event)
    return Events(types).decode(entry(encoded))


def entry(value: dict[str, Any]) -> Entry:
    return Entry(1, "00", datetime.now(UTC), 1, "messages", value)


def attributes(value: Any) -> Any:
    """All of a value, fields that events leave out of comparison too."""
    if isinstance(value, BaseEvent):
        return type(value), {key: attributes(each) for key, each in vars(value).items() if key[0] != "_"}
    if isinstance(value, list):
        return [attributes(each) for each in value]
    return value


@given(events)
def test_any_event_comes_back(event: BaseEvent) -> None:
    assert attributes(back_and_forth(event)) == attributes(event)


@given(events)
def test_what_is_written_is_the_format_of_the_framework(event: BaseEvent) -> None:
    encoded = Events().encode(event)
    assert encoded == serialize_value(event)
    assert json.loads(json.dumps(encoded)) == encoded
    assert attributes(deserialize_value(encoded)) == attributes(event)


def test_an_error_keeps_its_text() -> None:
    found = back_and_forth(ToolErrorEvent.from_call(ToolCallEvent("t"), ValueError("wrong")))
    assert (type(found), str(found.error)) == (ToolErrorEvent, "wrong")
    failed = back_and_forth(TaskFailed(task_id="1", agent_name="a", objective="o", error=OSError("gone")))
    assert str(failed.error) == "gone"


class Mood(Enum):
    GOOD = "good"


@dataclass
class Place:
    name: str


class Weather(BaseModel):
    place: str
    mood: Mood = Mood.GOOD


class Noted(BaseEvent):
    note: Any


OWN = (Mood, Place, Weather, Noted)


@pytest.mark.parametrize("value", [Mood.GOOD, Place("Oslo"), Weather(place="Oslo"), uuid4(), b"\0", (1, 2)])
def test_own_classes_where_they_are_named(value: Any) -> None:
    found = back_and_forth(Noted(note=value), OWN)
    assert type(found) is Noted
    assert found.note == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize("value", [Mood.GOOD, Place("Oslo"), Weather(place="Oslo")])
def test_own_classes_where_they_are_not(value: Any) -> None:
    with pytest.raises(EncodeError, match="types="):
        back_and_forth(ToolResultEvent(parent_id="1", result=ToolResult(DataInput(value))))
    with pytest.raises(EncodeError, match="types="):
        back_and_forth(Noted(note=1))


@pytest.mark.parametrize(
    "data",
    [
        {"__dataclass__": "subprocess.Popen", "data": {"args": ["touch", "x"]}},
        {"__event__": "ag2.events.types.ModelMessage", "content": "I am one"},
        {"__bytes__": "no"},
        {"__pairs__": []},
        {1: "one", None: {"__uuid__": 1}},
    ],
)
async def test_what_a_tool_answers_is_only_data(storage: MiniAgentStorage, data: Any) -> None:
    stream = MemoryStream(storage)
    event = ToolResultEvent(parent_id="1", result=ToolResult(metadata={"found": data}))
    await storage.save_event(event, Context(stream))
    (found,) = await storage.get_history(stream.id)
    assert isinstance(found, ToolResultEvent)
    assert found.result.metadata == {"found": data}


@pytest.mark.parametrize(
    "value",
    [
        {"__event__": "subprocess.Popen", "args": "x"},
        {"__event__": "os.system", "command": "x"},
        {"__event__": "ag2.agent.Agent", "name": "x"},
        {"__event__": "ag2.events.types.Usage"},
        {"__event__": "ag2.events.types.NoSuch"},
        {
            "__event__": "ag2.events.types.UsageEvent",
            "usage": {"__dataclass__": "subprocess.Popen", "data": {}},
        },
        {"__event__": "ag2.events.types.UsageEvent", "usage": {"__pydantic__": "x.Y", "data": {}}},
        {"__event__": "ag2.events.types.UsageEvent", "usage": {"__enum__": "enum.Enum", "value": 1}},
        {"__event__": "ag2.events.tool_events.ToolCallEvent", "vendor_metadata": {"__uuid__": "canary"}},
        {"role": "user", "content": "canary"},
    ],
)
def test_what_may_not_be_made_is_an_error(value: dict[str, Any]) -> None:
    with pytest.raises(DecodeError) as refused:
        Events().decode(entry(value))
    assert "canary" not in str(refused.value)
    assert refused.value.__context__ is None


def test_fields_of_a_newer_release_survive() -> None:
    encoded = {**Events().encode(ToolCallEvent("t")), "newer": {"a": 1}}
    found = Events().decode(entry(encoded))
    assert Events().encode(found) == encoded


def test_other_classes_of_the_framework() -> None:
    event = UsageEvent(Usage(1.0), label="x")
    event.spec = TaskSpec("title")
    assert back_and_forth(event).spec == TaskSpec("title")


async def test_the_session_stays_where_a_history_is_set(url: str) -> None:
    storage = MiniAgentStorage(f"{url}&ttl=1h")
    stream = MemoryStream(storage)
    session_id = f"ag2/{stream.id}"
    await stream.send(ToolCallEvent("t"), Context(stream))
    async with open_store(url) as opened:
        before = await opened.get(session_id)
        await opened.state(session_id).set("mine", 1)
        await stream.history.replace([])
        after = await opened.get(session_id)
        assert (after.created_at, after.ttl) == (before.created_at, 3600)
        assert await opened.state(session_id).get("mine") == 1
    await storage.aclose()
