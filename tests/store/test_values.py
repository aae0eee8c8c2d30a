"""Values travel, and ids and URLs are what they say."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagent_store import (
    ConfigurationError,
    InvalidArgumentError,
    Message,
    Position,
    join_id,
    open_store,
)
from miniagent_store.options import parse_duration, parse_size, parse_ttl_ms
from miniagent_store.url import StoreURL, redact_text
from miniagent_store.values import Entry, RateLimit, Session, SessionEvent, Snapshot, Stats

ids = st.text(max_size=20)


@given(st.lists(ids, min_size=1, max_size=4), st.lists(ids, min_size=1, max_size=4))
def test_no_two_combinations_of_parts_meet(one: list[str], other: list[str]) -> None:
    assert (join_id(*one) == join_id(*other)) == (one == other)


@given(st.lists(ids, min_size=1, max_size=4))
def test_a_joined_id_is_an_id(parts: list[str]) -> None:
    joined = join_id(*parts)

    assert joined.isprintable()
    assert "{" not in joined
    assert "}" not in joined


def test_join_id_needs_texts() -> None:
    with pytest.raises(InvalidArgumentError):
        join_id()
    with pytest.raises(InvalidArgumentError):
        join_id("a", 1)  # type: ignore[arg-type]


def test_a_message_is_a_mapping_that_keeps_unknown_fields() -> None:
    message = Message.assistant("hi", mood="good", tool_calls=[{"id": "1"}])

    assert dict(message) == {
        "role": "assistant",
        "content": "hi",
        "tool_calls": [{"id": "1"}],
        "mood": "good",
    }
    assert message == Message.from_dict(message.to_dict()) == dict(message)
    assert message["mood"] == "good"
    with pytest.raises(AttributeError):
        message.content = "changed"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(message)) == message == copy.copy(message)


async def test_records_entries_snapshots_and_events_travel_as_plain_values() -> None:
    async with open_store("memory://") as store:
        session = await store.create("s", user_id="ada", metadata={"a": 1}, tags=["x"], ttl=60)
        await store.append("s", Message.user("hello"))
        snapshot = await store.snapshot("s", state=True)
        entry = (await store.entries("s"))[0]
        event = await anext(aiter(store.watch("s", after=session.position)))

    assert Session.from_dict(session.to_dict()) == session
    assert Entry.from_dict(entry.to_dict()) == entry
    assert Snapshot.from_dict(snapshot.to_dict()) == snapshot
    assert SessionEvent.from_dict(event.to_dict()) == event
    assert Position.parse(str(session.position)) == session.position


@pytest.mark.parametrize("text", ["", "x", "bm9wZQ", "e30", "WzEsMl0"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        Position.parse(text)


def test_times_are_aware() -> None:
    message = Message.user("x", time=datetime(2026, 1, 1, tzinfo=UTC))

    assert message.time == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("redis://ada:p%40ss@h:6379/0?ttl=1h", "redis://ada:***@h:6379/0?ttl=1h"),
        ("redis://:secret@h", "redis://:***@h"),
        ("redis://user@h1:1,h2:2/x", "redis://user@h1:1,h2:2/x"),
        ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=0"),
        ("x://h?sentinel_password=secret&a=b", "x://h?sentinel_password=***&a=b"),
        ("of-a-plugin://h?api_token=secret&region=eu", "of-a-plugin://h?api_token=***&region=eu"),
        ("memory://?serializer=msgpack+zstd", "memory://?serializer=msgpack+zstd"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
    ],
)
def test_a_url_prints_without_secrets_and_renders_with_them(text: str, redacted: str) -> None:
    url = StoreURL.parse(text)

    assert str(url) == redacted
    assert "secret" not in f"{url!r}"
    assert StoreURL.parse(url.render()) == url


@pytest.mark.parametrize("text", ["serializer=a+b", "serializer=a%2Bb"])
def test_a_plus_stays_a_plus(text: str) -> None:
    assert StoreURL.parse(f"memory://?{text}").options == {"serializer": "a+b"}


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_password_survives_the_url(username: str, password: str) -> None:
    url = StoreURL("redis", username, password, (("h", 1),), "/0", (("a", password),))

    assert StoreURL.parse(url.render()) == url


def test_redaction_of_texts_that_are_no_url() -> None:
    assert "hunter2" not in redact_text("redis//ada:hunter2@h")
    assert "hunter2" not in redact_text("sentinel_password=hunter2")


def test_units() -> None:
    assert parse_ttl_ms("1h") == parse_ttl_ms(3600) == 3_600_000
    assert parse_ttl_ms("never") is None
    assert parse_duration("500ms") == 0.5
    assert parse_size("1MiB") == 1_048_576
    with pytest.raises(InvalidArgumentError):
        parse_size(0)


def test_keyword_arguments_are_stronger_than_the_query() -> None:
    assert "ttl" in str(open_store("memory://?ttl=1h", ttl=60))
    with pytest.raises(ConfigurationError):
        open_store("memory://", tttl=60)


def test_a_rate_limit_as_header_fields() -> None:
    allowed, refused = RateLimit(True, 3, 0, 10, 59.2), RateLimit(False, 0, 0.001, 10, 60.0)

    assert allowed.headers() == {
        "RateLimit-Limit": "10",
        "RateLimit-Remaining": "3",
        "RateLimit-Reset": "60",
    }
    assert refused.headers()["Retry-After"] == "1", "in whole seconds, and never too early"


def test_a_hit_rate_of_nothing_is_zero() -> None:
    assert Stats().hit_rate == 0
    assert Stats(cache_hits=1, cache_misses=3).hit_rate == 0.25
