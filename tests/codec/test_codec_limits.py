from __future__ import annotations

from typing import Any

import pytest
from codec_support import CONTEXT, SERIALIZERS, PlainRegistry, make_codec, nested

from miniagent_store.codec import TypeRegistry
from miniagent_store.errors import DecodeError, EncodeError
from miniagent_store.serializer import Limits, NamedSerializer

TIGHT = Limits(depth=5)


def a_set(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = frozenset({value})
    return value


def a_map(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {1: value}
    return value


def a_tuple(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = (value,)
    return value


@pytest.mark.parametrize("name", SERIALIZERS)
@pytest.mark.parametrize("build", [nested, a_set, a_map, a_tuple])
def test_depth_is_the_same_for_writing_and_reading(name: str, build: Any) -> None:
    wide, tight = make_codec(name), make_codec(name, limits=TIGHT)

    assert tight.decode(tight.encode(build(5), CONTEXT), CONTEXT) == build(5)
    with pytest.raises(EncodeError, match="too deep"):
        tight.encode(build(6), CONTEXT)
    with pytest.raises(DecodeError, match="too deep"):
        tight.decode(wide.encode(build(6), CONTEXT), CONTEXT)


@pytest.mark.parametrize("name", SERIALIZERS)
@pytest.mark.parametrize("build", [nested, a_set, a_map, a_tuple])
def test_a_hundred_levels_of_anything_are_stored(name: str, build: Any) -> None:
    codec = make_codec(name)

    assert codec.decode(codec.encode(build(100), CONTEXT), CONTEXT) == build(100)
    with pytest.raises(EncodeError, match="too deep"):
        codec.encode(build(101), CONTEXT)


def test_registered_objects_count_as_a_level() -> None:
    class Box:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

    types = TypeRegistry()
    types.register(Box, "box", to_fields=lambda box: {"inner": box.inner}, from_fields=lambda f: Box(**f))
    wide, tight = make_codec("json", types=types), make_codec("json", types=types, limits=TIGHT)
    boxes: Any = 1
    for _ in range(6):
        boxes = Box(boxes)

    tight.decode(tight.encode(boxes.inner, CONTEXT), CONTEXT)
    with pytest.raises(EncodeError, match="too deep"):
        tight.encode(boxes, CONTEXT)
    with pytest.raises(DecodeError, match="too deep"):
        tight.decode(wide.encode(boxes, CONTEXT), CONTEXT)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)

    with pytest.raises(EncodeError, match="too deep"):
        make_codec("orjson").encode(value, CONTEXT)


@pytest.mark.parametrize("name", SERIALIZERS)
def test_sizes_are_limited_both_ways(name: str) -> None:
    wide = make_codec(name)
    encoded, decoded = Limits(encoded=50), Limits(decoded=50)

    for limits in (encoded, decoded):
        with pytest.raises(EncodeError, match="too large"):
            make_codec(name, limits=limits).encode("x" * 60, CONTEXT)
        with pytest.raises(DecodeError, match="too large"):
            make_codec(name, limits=limits).decode(wide.encode("x" * 60, CONTEXT), CONTEXT)


def test_too_large_names_the_limit_and_its_option() -> None:
    with pytest.raises(EncodeError, match=r"limit is 50; split the value, or raise Limits\.encoded"):
        make_codec("json", limits=Limits(encoded=50)).encode("x" * 60, CONTEXT)


@pytest.mark.parametrize("sign", [1, -1])
def test_big_ints_are_limited_both_ways(sign: int) -> None:
    tight = make_codec("json", limits=Limits(big_int_digits=30))
    wide = make_codec("json")
    allowed, refused = sign * (10**30 - 1), sign * 10**30

    assert tight.decode(tight.encode(allowed, CONTEXT), CONTEXT) == allowed
    with pytest.raises(EncodeError, match="at most 30 decimal digits"):
        tight.encode(refused, CONTEXT)
    with pytest.raises(DecodeError, match="corrupt"):
        tight.decode(wide.encode(refused, CONTEXT), CONTEXT)


def test_bytes_beyond_the_limit_are_not_parsed() -> None:
    calls: list[bytes] = []
    spy = NamedSerializer("spy", lambda value: b"x" * 100, lambda data: calls.append(data))
    registry = PlainRegistry(serializers=[spy])
    blob = make_codec("spy", registry=registry).encode(1, CONTEXT)

    with pytest.raises(DecodeError, match="too large"):
        make_codec("spy", registry=registry, limits=Limits(encoded=99)).decode(blob, CONTEXT)

    assert calls == []
