"""What is written is read again; what was changed is an error, never another value."""

from __future__ import annotations

import io
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as some
from miniagent_cbor.plugin import WIRE_ID
from miniagent_cbor.serializer import CborSerializer

from miniagent_store import Provider, hookimpl, open_store
from miniagent_store.backend import EntryRewrite, LogRange, ReadPlan, Rewrite
from miniagent_store.errors import DecodeError, PluginError
from miniagent_store.serializer import Context, Limits
from miniagent_store.testing import StoreConformance, backend_of

PLACE, LIMITS = Context("", "session", "s", "entry"), Limits()
VALUES: list[Any] = [
    {"role": "user", "content": "héllo 🎉", "parts": [1, -1.5, None, True, b"\x00\xff"]},
    {"big": 2**63, "huge": 2**80, "low": -(2**63), "time": datetime(2030, 1, 1, tzinfo=UTC), "set": {1, 2}},
    {"zero": -0.0, "tiny": 5e-324, "deep": [[[[{"a": {}}]]]]},
]
texts = some.text(some.characters(exclude_categories=["Cs"]))
plain = some.recursive(
    some.none()
    | some.booleans()
    | some.integers(-(2**63), 2**64 - 1)
    | some.floats(allow_nan=False, allow_infinity=False)
    | texts
    | some.binary(),
    lambda inner: some.lists(inner) | some.dictionaries(texts, inner),
    max_leaves=20,
)


class TestStoreWithCbor(StoreConformance):
    """All promises of a store hold with it."""

    @pytest.fixture
    def store_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/sessions.db?serializer=cbor"


@given(plain)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    serializer = CborSerializer()

    assert repr(serializer.loads(serializer.dumps(value, PLACE), PLACE, LIMITS)) == repr(value)


async def test_values_come_back_through_a_store(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/sessions.db?serializer=cbor") as store:
        for value in VALUES:
            await store.append("s", value, create=True)
        entries = await store.entries("s")

    for value, entry in zip(VALUES, entries, strict=True):
        assert {key: entry.value[key] for key in value} == value


@pytest.mark.parametrize("layers", ["zlib", "crc32", "zlib+crc32"])
async def test_it_stands_under_layers(tmp_path: Path, layers: str) -> None:
    async with open_store(f"sqlite:///{tmp_path}/sessions.db?serializer=cbor+{layers}") as store:
        await store.append("s", VALUES[0], create=True)

        assert (await store.history("s"))[0].content == "héllo 🎉"


async def test_other_programs_read_it(tmp_path: Path) -> None:
    """The number on the wire, then CBOR that any library reads."""
    async with open_store(f"sqlite:///{tmp_path}/sessions.db?serializer=cbor") as store:
        await store.append("s", VALUES[0], create=True)
        stored = await _stored(store)

    assert WIRE_ID in stored[:8]
    at = stored.index(b"\xa3")
    assert cbor2.load(io.BytesIO(stored[at:])) == VALUES[0]


async def test_a_store_with_another_serializer_reads_it(tmp_path: Path) -> None:
    """What a safe serializer wrote is read, whatever a store writes with."""
    url = f"sqlite:///{tmp_path}/sessions.db"
    async with open_store(f"{url}?serializer=cbor") as store:
        await store.append("s", VALUES[0], create=True)
    async with open_store(url) as store:
        assert (await store.history("s"))[0].content == "héllo 🎉"
        await store.reencrypt()
        assert WIRE_ID not in (await _stored(store))[:4]


def test_no_change_of_a_byte_gives_another_value_of_another_type() -> None:
    """A byte that was changed is an error or plain data: nothing is called, nothing is made of it."""
    serializer = CborSerializer()
    data = serializer.dumps(VALUES[0], PLACE)
    for at in range(len(data)):
        for byte in range(256):
            broken = data[:at] + bytes([byte]) + data[at + 1 :]
            try:
                value = serializer.loads(broken, PLACE, LIMITS)
            except Exception:  # noqa: BLE001 - whatever is raised becomes a DecodeError
                continue
            assert cbor2.dumps(value) == broken


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81",  # a list that ends too early
        b"\x01\x02",  # more follows
        b"\x9f\x01\xff",  # indefinite length
        b"\x18\x01",  # 1, spelled longer than need be
        b"\xa2\x61a\x01\x61a\x02",  # a key twice
        b"\xa1\x01\x02",  # a key that is no text
        b"\xd8\x1c\x81\xd8\x1d\x00",  # a list that holds itself
        b"\x9b\x00\x00\x00\x10\x00\x00\x00\x00",  # a list of 2^36 items, none of which is there
        b"\x81" * 100_000,  # very deep
        b"\x62\xed\xa0",  # no UTF-8
    ],
    ids=lambda data: data[:6].hex(),
)
def test_what_was_not_written_here_is_refused(data: bytes) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever is raised becomes a DecodeError
        CborSerializer().loads(data, PLACE, LIMITS)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, cbor2.undefined, -(2**64), datetime(2030, 1, 1, tzinfo=UTC)], ids=repr
)
async def test_types_that_cbor_has_and_the_store_has_not_are_errors(tmp_path: Path, value: Any) -> None:
    """Bytes of CBOR that somebody put in the place of ours."""
    async with open_store(f"sqlite:///{tmp_path}/sessions.db?serializer=cbor") as store:
        await store.append("s", {"a": 1}, create=True)
        stored = await _stored(store)
        forged = stored.replace(cbor2.dumps({"a": 1}), cbor2.dumps({"a": value}))
        assert forged != stored
        await _forge(store, forged)

        with pytest.raises(DecodeError):
            await store.history("s")


class Other:
    """Another plugin, whose author took the same number."""

    @hookimpl
    def provide_serializers(self) -> list[Provider[Any]]:
        return [Provider("other", CborSerializer, wire_id=WIRE_ID)]


async def test_two_plugins_with_one_number_are_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sessions.db"
    async with open_store(f"{url}?serializer=cbor") as store:
        await store.append("s", VALUES[0], create=True)

    async with open_store(url, plugins=[Other()]) as store:
        with pytest.raises(PluginError, match="cbor"):
            await store.history("s")


async def _stored(store: Any) -> bytes:
    read = await backend_of(store).read(ReadPlan("s", (LogRange("messages"),)))
    return read.entries[0][0].payload


async def _forge(store: Any, payload: bytes) -> None:
    backend = backend_of(store)
    read = await backend.read(ReadPlan("s", (LogRange("messages"),)))
    assert read.record is not None
    entry = read.entries[0][0]
    change = EntryRewrite("messages", 1, entry.id, entry.payload, payload)
    await backend.rewrite(Rewrite("s", read.record.incarnation, entries=(change,)))
