"""No error of a codec may carry what a value holds: errors end in logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from codec_support import CONTEXT, SERIALIZERS, PlainRegistry, ToySeal, make_codec
from test_codec_damage import JSON_TAGGED, MSGPACK_TAGGED, sealed

from miniagent_store.codec import TypeRegistry
from miniagent_store.errors import SerializationError, StoreError
from miniagent_store.serializer import NamedSerializer

CANARY = "canary-7f3a@example.org"


def everything_reachable(error: BaseException) -> Iterator[str]:
    """Text of an error, its attributes, notes, causes and contexts."""
    seen: list[BaseException | None] = [error]
    for each in seen:
        if each is None:
            continue
        yield from (str(each), repr(each), repr(each.args), repr(vars(each)))
        yield from map(repr, getattr(each, "__notes__", ()))
        for linked in (each.__cause__, each.__context__):
            if linked is not None and linked not in seen:
                seen.append(linked)


def assert_silent(error: BaseException) -> None:
    assert error.__cause__ is None
    assert error.__context__ is None
    for text in everything_reachable(error):
        assert "canary" not in text.lower()
        assert CANARY.encode().hex() not in text


class Opaque:
    def __init__(self, text: str = CANARY) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


UNSTORABLE = [
    Opaque(),
    [CANARY, Opaque()],
    {CANARY: Opaque()},
    {(CANARY,): Opaque()},
    CANARY + "\ud800",
    {CANARY + "\ud800": 1},
    {CANARY: [[[10**5000]]]},
    {float("nan"): CANARY},
]


@pytest.mark.parametrize("name", SERIALIZERS)
@pytest.mark.parametrize("value", UNSTORABLE)
def test_an_error_of_writing_is_silent(name: str, value: Any) -> None:
    with pytest.raises(SerializationError) as caught:
        make_codec(name).encode(value, CONTEXT)

    assert_silent(caught.value)


@pytest.mark.parametrize("value", UNSTORABLE)
def test_an_error_of_a_digest_is_silent(value: Any) -> None:
    with pytest.raises(SerializationError) as caught:
        make_codec("json").digest(value)

    assert_silent(caught.value)


@pytest.mark.parametrize("name", SERIALIZERS)
@pytest.mark.parametrize(
    "payload",
    [
        f'{{"text": "{CANARY}", }}',
        f'{{"text": "{CANARY}"}} more',
        f'["{CANARY}\\ud800"]',
        f'{{"{CANARY}": {{"$t": "uuid", "v": "{CANARY}"}}}}',
        f'{{"$t": "{CANARY}", "v": 1}}',
        f'{{"$t": "decimal", "v": "{CANARY}"}}',
        f'{{"$t": "datetime", "v": ["2026-01-01", 0, "{CANARY}"]}}',
        f'{{"$t": "object", "v": {{"n": "{CANARY}", "f": {{}}}}}}',
        f'{{"$t": "map", "v": [["{CANARY}", 1], ["{CANARY}", 2]]}}',
        f'{{"$t": "set", "v": [["{CANARY}"]]}}',
        CANARY,
        CANARY * 100,
    ],
)
def test_an_error_of_reading_is_silent(name: str, payload: str) -> None:
    import msgpack

    if name == "msgpack":
        try:
            body = msgpack.packb(json.loads(payload))
        except ValueError:
            body = payload.encode()
        blob = sealed(MSGPACK_TAGGED, body)
    else:
        blob = sealed(JSON_TAGGED, payload.encode())

    with pytest.raises(SerializationError) as caught:
        make_codec(name).decode(blob, CONTEXT)

    assert_silent(caught.value)


@pytest.mark.parametrize(
    "kind",
    [
        ValueError,
        TypeError,
        RecursionError,
        ZeroDivisionError,
        KeyError,
        MemoryError,
        OSError,
        StopIteration,
    ],
)
def test_whatever_a_serializer_raises_becomes_a_silent_error(kind: type[Exception]) -> None:
    def fail(_: Any) -> Any:
        raise kind(CANARY)

    registry = PlainRegistry(
        [NamedSerializer("wfail", fail, fail), NamedSerializer("rfail", lambda value: b"x", fail)]
    )
    writer, reader = make_codec("wfail", registry=registry), make_codec("rfail", registry=registry)

    with pytest.raises(SerializationError, match=kind.__name__) as writing:
        writer.encode([CANARY], CONTEXT)
    with pytest.raises(SerializationError, match=kind.__name__) as reading:
        reader.decode(reader.encode([CANARY], CONTEXT), CONTEXT)

    assert_silent(writing.value)
    assert_silent(reading.value)
    assert writing.value.codec == "wfail"
    assert reading.value.context == str(CONTEXT)


def test_an_error_that_a_layer_raised_from_another_is_silent() -> None:
    class Chatty(ToySeal):
        name = "chatty"

        def decode(self, *_: Any) -> bytes:
            try:
                raise ValueError(CANARY)
            except ValueError as error:
                raise SerializationError("corrupt") from error

    codec = make_codec("json+chatty", registry=PlainRegistry(layers=[Chatty()]))

    with pytest.raises(SerializationError) as caught:
        codec.decode(codec.encode(1, CONTEXT), CONTEXT)

    assert_silent(caught.value)


def test_an_error_of_a_registered_type_is_silent() -> None:
    def fail(_: Any) -> Any:
        raise ValueError(CANARY)

    types, reading = TypeRegistry(), TypeRegistry()
    types.register(Opaque, "opaque", to_fields=fail, from_fields=fail)
    reading.register(Opaque, "opaque", to_fields=lambda o: {"text": o.text}, from_fields=fail)

    with pytest.raises(StoreError) as caught:
        make_codec("json", types=types).encode(Opaque(), CONTEXT)
    assert_silent(caught.value)

    codec = make_codec("json", types=reading)
    with pytest.raises(StoreError, match="register it with a from_fields") as caught:
        codec.decode(codec.encode(Opaque(), CONTEXT), CONTEXT)
    assert_silent(caught.value)


def test_a_path_shows_names_and_hides_other_keys() -> None:
    value = {"content": [{CANARY: {"image": (Opaque(),)}}]}

    with pytest.raises(SerializationError) as caught:
        make_codec("json").encode(value, CONTEXT)

    assert caught.value.path == "content[0][?].image[0]"
