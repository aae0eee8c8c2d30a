"""Values that MiniAgent wrote before there were envelopes."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from codec_support import CONTEXT, PlainRegistry, make_codec, nested

from miniagent_store.codec import Chain, Codec
from miniagent_store.codec.unsafe import legacy_reader
from miniagent_store.errors import ConfigurationError, DecodeError
from miniagent_store.serializer import Limits

MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "Grüße"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}],
        "timestamp": datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC),
    },
    {"role": "tool", "content": "42", "tool_call_id": "1", "metadata": {"cost": 0.5, "ok": True}},
]
EVENTS = [{"type": "llm_call", "data": {"n": 1}, "timestamp": "2025-01-02T03:04:05"}]
THREAD = {"messages": MESSAGES, "events": EVENTS}


def codec(*legacy: str, chain: str = "msgpack", limits: Limits | None = None) -> Codec:
    registry = PlainRegistry()
    readers = [legacy_reader(name, registry, allow_pickle=True) for name in legacy]
    return Codec(Chain.parse(chain, registry), registry=registry, legacy=readers, limits=limits)


def refusal(data: bytes, *legacy: str, **options: Any) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        codec(*(legacy or ("pickle-thread",)), **options).decode(data, CONTEXT)
    return caught.value


def test_without_a_reader_the_bytes_are_no_envelope() -> None:
    for data in (json.dumps({"a": 1}).encode(), pickle.dumps(THREAD)):
        with pytest.raises(DecodeError, match="name a reader for them with legacy=") as caught:
            make_codec("msgpack").decode(data, CONTEXT)
        assert caught.value.reason == "not an envelope"


def test_a_reader_reads_only_what_is_its_own() -> None:
    assert refusal(pickle.dumps(THREAD), "json").reason == "not an envelope"
    assert refusal(json.dumps(THREAD, default=str).encode(), "pickle-thread").reason == "not an envelope"
    error = refusal(b"\x00\x01", "json", "pickle-thread")
    assert "legacy=json,pickle-thread does not know them" in str(error)


def test_readers_are_asked_only_for_what_is_no_envelope() -> None:
    both = codec("json", "pickle-thread")

    assert both.decode(both.encode({"a": 1}, CONTEXT), CONTEXT) == {"a": 1}
    assert refusal(b"", "json").reason == "truncated"
    assert refusal(b"\xc1{}", "json").reason == "unsupported version"


@pytest.mark.parametrize("chain", ["msgpack", "json+toyseal"])
def test_a_store_reads_what_legacy_lists_even_if_it_encrypts(chain: str) -> None:
    both = codec("json", "pickle-thread", chain=chain)

    assert both.decode(json.dumps({"user_id": "anonymous"}).encode(), CONTEXT) == {"user_id": "anonymous"}
    assert both.decode(pickle.dumps(THREAD), CONTEXT) == THREAD


# -- JSON ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [{"a": [1, -1.5, None, True, "\u00e9\U0001f30d"]}, [], "text", 12, None, {}, -1, False]
)
def test_plain_json_is_read(value: Any) -> None:
    for indent in (None, 2):
        assert codec("json").decode(json.dumps(value, indent=indent).encode(), CONTEXT) == value


def test_infinities_that_python_wrote_are_read() -> None:
    assert codec("json").decode(b"[Infinity, -Infinity]", CONTEXT) == [float("inf"), float("-inf")]
    assert repr(codec("json").decode(b"NaN", CONTEXT)) == "nan"


def test_compressed_events_are_put_back() -> None:
    events = EVENTS * 150
    packed = base64.b64encode(zlib.compress(json.dumps(events).encode())).decode()
    stored = json.dumps({"messages": [], "events_compressed": packed, "events": []}).encode()

    assert codec("json").decode(stored, CONTEXT) == {"messages": [], "events": events}


def test_a_bomb_of_compressed_events_is_stopped() -> None:
    packed = base64.b64encode(zlib.compress(bytes(1_000_000))).decode()
    stored = json.dumps({"events_compressed": packed, "events": []}).encode()

    assert refusal(stored, "json", limits=Limits(decoded=100_000)).reason == "too large"


def test_a_users_own_key_of_that_name_stays() -> None:
    for value in ({"events_compressed": "x"}, {"events_compressed": 1, "events": []}):
        assert codec("json").decode(json.dumps(value).encode(), CONTEXT) == value


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a": 1', "corrupt"),
        (b"{} {}", "corrupt"),
        (b'{"a": "\xff"}', "corrupt"),
        (b'["\\ud800"]', "invalid text"),
        (b"[" * 101 + b"]" * 101, "too deep"),
        (b"[" * 100_000, "too deep"),
        (b"1" * 5000, "corrupt"),
        (b'{"events_compressed": "?", "events": []}', "corrupt"),
    ],
)
def test_json_outside_of_the_model_is_refused(data: bytes, reason: str) -> None:
    assert refusal(data, "json").reason == reason


# -- pickled threads -----------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_pickled_thread_is_read(protocol: int) -> None:
    zone = timezone(timedelta(hours=2), "X")
    messages = [*MESSAGES, {"role": "user", "content": "", "timestamp": datetime(2025, 1, 1, tzinfo=zone)}]
    for thread in (THREAD, {"messages": []}, {"messages": messages, "events": []}):
        assert codec("pickle-thread").decode(pickle.dumps(thread, protocol), CONTEXT) == thread


def test_objects_that_messages_share_are_read() -> None:
    shared = {"model": "m"}
    thread = {"messages": [{"role": "user", "metadata": shared} for _ in range(1000)], "events": []}

    assert codec("pickle-thread").decode(pickle.dumps(thread), CONTEXT) == thread


class Message:
    def __init__(self) -> None:
        self.role = "user"


class Bomb:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


@pytest.mark.parametrize(
    "thread",
    [
        [],
        "text",
        {},
        {"events": []},
        {"messages": {}, "events": []},
        {"messages": ["text"], "events": []},
        {"messages": [], "events": [1]},
        {"messages": [], "events": [], "more": []},
        {"messages": [{"tags": {1, 2}}]},
        {"messages": [{"tags": frozenset()}]},
        {"messages": [{(1, 2): 3}]},
        {"messages": [{"x": bytearray(b"")}]},
        {"messages": [{"x": 1j}]},
        {"messages": [Message()]},
        {"messages": [{"x": Message}]},
        {"messages": [{"x": datetime}]},
        {"messages": [{"x": nested(101)}]},
        {"messages": [{"x": "\ud800"}]},
    ],
)
def test_what_is_not_exactly_a_thread_is_refused(thread: Any) -> None:
    refusal(pickle.dumps(thread))


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_no_opcode_of_a_bomb_runs(protocol: int, tmp_path: Path) -> None:
    left = tmp_path / "left"
    payload = pickle.dumps({"messages": [{"x": Bomb(left)}]}, protocol)
    pickle.loads(payload)
    left.rmdir()

    assert refusal(payload).reason == "class not allowed"
    assert not left.exists()


def test_a_few_bytes_that_refer_to_themselves_are_stopped() -> None:
    laughs: Any = []
    for _ in range(60):
        laughs = [laughs] * 10
    circle: list[Any] = []
    circle.append(circle)

    for value in (laughs, circle, {"x": circle}):
        assert refusal(pickle.dumps({"messages": [{"x": value}]})).reason == "too large"


def test_deep_keys_do_not_exhaust_the_stack() -> None:
    def pickled(put: bytes) -> bytes:
        return b"\x80\x04}(" + b")" + b"\x85" * 200_000 + put

    for put in (b"K\x01u.", b"\x91."):
        assert refusal(pickled(put)).reason == "corrupt"
    assert refusal(b"\x80\x04})" + b"\x85" * 200_000 + b"K\x01s.").reason == "corrupt"


def test_every_cut_is_refused() -> None:
    data = pickle.dumps(THREAD)

    for size in range(1, len(data)):
        refusal(data[:size], "json", "pickle-thread")


def test_pickled_threads_need_leave_in_code() -> None:
    with pytest.raises(ConfigurationError, match="allow_pickle=True"):
        legacy_reader("pickle-thread", PlainRegistry(), allow_pickle=False)
    assert legacy_reader("json", PlainRegistry(), allow_pickle=False).name == "json"
