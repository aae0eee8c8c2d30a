"""Pickle: what it may carry, and that no opcode of a payload runs that must not."""

from __future__ import annotations

import collections
import copyreg
import enum
import os
import pickle
import pickletools
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from codec_support import CONTEXT, PlainRegistry, ToySeal, nested, shape, values
from hypothesis import given, settings

from miniagent_serializers.hmac_layer import HmacLayer
from miniagent_serializers.pickle_serializer import PickleSerializer
from miniagent_store import Key, Keyring
from miniagent_store.codec import Chain, Codec, TypeRegistry
from miniagent_store.errors import DecodeError, EncodeError, SerializationError
from miniagent_store.serializer import Context, Limits

KEYS = Keyring([Key(bytes(range(32)), "this")])
OTHER_KEYS = Keyring([Key(bytes(range(1, 33)), "other")])


@dataclass
class Point:
    x: Any
    y: Any = 0


class Pair(NamedTuple):
    first: int
    second: int


class Colour(enum.Enum):
    RED = 1


class Slotted:
    __slots__ = ("inner",)

    def __init__(self, inner: Any) -> None:
        self.inner = inner


@dataclass
class Deep:
    children: list[Deep] = field(default_factory=list)


class Callable_:
    def __call__(self, *arguments: Any) -> Any:
        raise AssertionError("an object was called")


class Named:
    def __reduce__(self) -> str:
        return "KEYS"


CLASSES = [Point, Pair, Colour, Slotted, Deep, Callable_, Named, collections.OrderedDict]


def pickle_codec(classes: Any = CLASSES, keys: Keyring = KEYS, **options: Any) -> Codec:
    chain = Chain(PickleSerializer(classes), (HmacLayer(),))
    return Codec(chain, registry=PlainRegistry(), keys=keys, **options)


class Raw:
    """Writes a payload as it is, under the id of pickle: whoever has the key can."""

    name, wire_id, safe, native_bytes = "pickle", 0x0F, False, True

    def __init__(self, payload: bytes) -> None:
        self._payload = payload

    def dumps(self, value: Any, context: Context) -> bytes:
        return self._payload

    def loads(self, data: bytes, context: Context, limits: Limits) -> Any:
        raise AssertionError


def forged(payload: bytes, keys: Keyring = KEYS) -> bytes:
    """An envelope with this payload, well authenticated."""
    codec = Codec(Chain(Raw(payload), (HmacLayer(),)), registry=PlainRegistry(), keys=keys)
    return codec.encode((), CONTEXT)


class Bomb:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


@pytest.fixture
def left(tmp_path: Path) -> Path:
    return tmp_path / "left"


@pytest.fixture
def bomb(left: Path) -> bytes:
    payload = pickle.dumps(Bomb(left), protocol=4)
    pickle.loads(payload)
    left.rmdir()  # it does work
    return payload


@pytest.fixture(autouse=True)
def nothing_was_left(left: Path) -> Iterator[None]:
    yield
    assert not left.exists()


# -- what it carries -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        Point(1, {"a": [b"\x00", {2}, frozenset({"x"}), (1, 1.5, None, True)]}),
        [Pair(1, 2), {"c": Colour.RED}],
        {Pair(1, 2): Point(0)},
        {Pair(1, 2)},
        (collections.OrderedDict(a=Point(1)),),
        Deep([Deep(), Deep([Deep()])]),
        Point(2**100, "\ud800"),
    ],
)
def test_objects_of_listed_classes_return_as_they_were(value: Any) -> None:
    codec = pickle_codec()

    returned = codec.decode(codec.encode(value, CONTEXT), CONTEXT)

    assert (type(returned), repr(returned)) == (type(value), repr(value))
    assert returned == value


def test_slots_and_shared_objects_return() -> None:
    codec = pickle_codec()
    shared = Slotted([1])

    first, second = codec.decode(codec.encode([shared, shared], CONTEXT), CONTEXT)

    assert first is second
    assert first.inner == [1]


@given(value=values)
@settings(max_examples=150, deadline=None)
def test_the_value_model_returns_as_from_every_serializer(value: Any) -> None:
    codec = pickle_codec([])

    assert shape(codec.decode(codec.encode(value, CONTEXT), CONTEXT)) == shape(value)


def test_a_registered_class_is_written_by_its_name_so_that_others_read_it() -> None:
    types = TypeRegistry()
    types.register(Point, "app.Point/1")
    codec = pickle_codec(types=types)

    blob = codec.encode(Point(1, 2), CONTEXT)

    assert b"app.Point/1" in blob
    assert codec.decode(blob, CONTEXT) == Point(1, 2)


def test_equal_objects_have_one_fingerprint() -> None:
    codec = pickle_codec()

    def value(order: int) -> Any:
        return [Point({"a": 1, "b": Pair(1, 2)}), {"x": 1, "y": 2} if order else {"y": 2, "x": 1}]

    assert codec.digest(value(0)) == codec.digest(value(1))
    assert codec.digest(value(0)) == codec.digest(codec.decode(codec.encode(value(0), CONTEXT), CONTEXT))
    assert codec.digest(Point(1)) != codec.digest(Point(2))
    assert codec.digest(Point(1)) != codec.digest(Pair(1, 0))


def test_depth_is_limited_as_for_every_serializer() -> None:
    codec = pickle_codec()

    assert codec.decode(codec.encode(nested(100), CONTEXT), CONTEXT) == nested(100)
    with pytest.raises(EncodeError, match="too deep"):
        codec.encode(nested(101), CONTEXT)
    deep: Any = None
    for _ in range(100_000):
        deep = Point(deep)
    with pytest.raises(EncodeError, match="too deep"):
        codec.encode(deep, CONTEXT)
    while deep is not None:  # its end would be recursive too
        deep = deep.x


def function() -> None: ...


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (function, "builtins.function"),
        (len, "builtin_function"),
        (os, "module"),
        (dict, "builtins.dict"),
        (1j, "complex"),
        (bytearray(b""), "bytearray"),
        (Bomb(Path("x")), "Bomb"),
        (enum.IntEnum("Odd", "A").A, "Odd"),  # type: ignore[attr-defined]
        (Named(), "a name to look up"),
    ],
    ids=lambda value: getattr(type(value), "__name__", "") if not isinstance(value, str) else "",
)
def test_what_would_not_be_read_is_not_written(value: Any, named: str) -> None:
    codec = pickle_codec()

    with pytest.raises(EncodeError, match=named):
        codec.encode([Point(value)], CONTEXT)


def test_an_unlisted_class_says_what_to_do() -> None:
    with pytest.raises(EncodeError, match=r"test_codec_pickle\.Point is not on the list; add it"):
        pickle_codec([Slotted]).encode(Slotted(Point(1)), CONTEXT)


def test_without_leave_the_serializer_itself_does_nothing(bomb: bytes) -> None:
    registry = PlainRegistry()
    codec = Codec(Chain.parse("pickle+hmac", registry), registry=registry, keys=KEYS)

    with pytest.raises(EncodeError, match="codec not allowed"):
        codec.encode([1], CONTEXT)
    with pytest.raises(DecodeError, match="codec not allowed"):
        codec.decode(forged(bomb), CONTEXT)


# -- what does not run ---------------------------------------------------------------------------------


def refused(codec: Codec, blob: bytes) -> SerializationError:
    with pytest.raises(SerializationError) as caught:
        codec.decode(blob, CONTEXT)
    return caught.value


@pytest.mark.parametrize("chain", ["msgpack", "msgpack+hmac", "json+zstd+toyseal"])
def test_a_store_of_another_chain_runs_no_pickle(chain: str, bomb: bytes) -> None:
    registry = PlainRegistry()
    codec = Codec(Chain.parse(chain, registry), registry=registry, keys=KEYS)

    assert refused(codec, forged(bomb)).reason == "codec not allowed"


@pytest.mark.parametrize("outer", ["crc32", None, "zlib+crc32"])
def test_nothing_runs_that_is_not_authenticated(outer: str | None, bomb: bytes) -> None:
    ids = {"crc32": b"\x1f", None: b"", "zlib+crc32": b"\x10\x1f"}[outer]
    header = bytes((0xC1, 0x31 + len(ids), 0x0F)) + ids
    checksum = zlib.crc32(bomb, zlib.crc32(header)).to_bytes(4, "big") if ids else b""
    blob = header + bomb + checksum

    for codec in (pickle_codec(), pickle_codec(accept=[Chain.parse("msgpack", PlainRegistry())])):
        assert refused(codec, blob).reason == "codec not allowed"


def test_nothing_runs_that_another_layer_authenticates_than_was_listed(bomb: bytes) -> None:
    registry = PlainRegistry()
    sealed = Codec(Chain(Raw(bomb), (ToySeal(),)), registry=registry).encode((), CONTEXT)

    assert refused(pickle_codec(), sealed).reason == "codec not allowed"


def test_nothing_runs_under_a_wrong_key_or_in_another_place(bomb: bytes) -> None:
    moved = Context("app", "session", "s2", "entry", "messages", b"\x01" * 16)

    assert refused(pickle_codec(), forged(bomb, OTHER_KEYS)).reason == "key not found"
    blob = forged(bomb)
    with pytest.raises(SerializationError, match="moved from another place"):
        pickle_codec().decode(blob, moved)
    # The id of the right key on what another one authenticated.
    renamed = blob[:4] + forged(bomb, OTHER_KEYS)[4:8] + blob[8:]
    wrong = forged(bomb, OTHER_KEYS)[:4] + blob[4:8] + forged(bomb, OTHER_KEYS)[8:]
    assert refused(pickle_codec(), renamed).reason == "key not found"
    assert refused(pickle_codec(), wrong).reason == "tampered"


def test_every_flipped_bit_is_noticed_before_anything_runs(bomb: bytes) -> None:
    blob, codec = forged(bomb), pickle_codec()

    for bit in range(len(blob) * 8):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        error = refused(codec, bytes(damaged))
        assert error.codec != "pickle"


def test_a_class_off_the_list_is_not_loaded(bomb: bytes) -> None:
    error = refused(pickle_codec(), forged(bomb))

    assert error.reason == "class not allowed"
    assert "posix.mkdir is not on the list" in str(error)


def names(module: str, name: str) -> bytes:
    return b"\x80\x04" + _text(module) + _text(name) + b"\x93"


def _text(text: str) -> bytes:
    return b"\x8c" + bytes((len(text),)) + text.encode()


HERE = Point.__module__


def payloads(left: Path) -> dict[str, bytes]:
    directory = _text(str(left)) + b"\x85R."  # called with a tuple of one
    return {
        "dotted name": names(HERE, "os.mkdir") + directory,
        "dotted name of a listed class": names(HERE, "Point.__init__.__globals__") + b".",
        "dotted module": names("os.path", "os.mkdir") + directory,
        "name in a module of a listed class": names(HERE, "os") + b".",
        "old opcode": b"cos\nmkdir\n" + directory,
        "old opcode, called at once": b"("
        + b"X"
        + len(str(left)).to_bytes(4, "little")
        + str(left).encode()
        + b"ios\nmkdir\n.",
        "old opcode for an object": b"(cos\nmkdir\n" + _text(str(left)) + b"o.",
        "persistent id": _text("x") + b"Q.",
        "old persistent id": b"Px\n.",
        "extension": b"\x82\x01.",
        "an object that is called": names(HERE, "Callable_") + b")\x81)R.",
        "an object as a class": names(HERE, "Callable_") + b")\x81)\x81.",
        "a change of a class": names(HERE, "Point") + b"N}" + _text("__init__") + b"K\x01s\x86b.",
        "bytes after it": b"\x80\x04N.N",
        "no end": b"\x80\x04N",
        "nothing": b"",
        "an unknown protocol": b"\x80\x09N.",
        "a class, not an object": names(HERE, "Point") + b".",
        "an object in place of a key": b"\x80\x04}" + names(HERE, "Deep")[2:] + b")\x81K\x01s.",
    }


@pytest.mark.parametrize("kind", payloads(Path("x")))
def test_a_payload_that_its_key_signed_still_runs_nothing_off_the_list(kind: str, left: Path) -> None:
    before = dict(vars(Point))

    error = refused(pickle_codec(), forged(payloads(left)[kind]))

    assert isinstance(error, DecodeError)
    assert dict(vars(Point)) == before


def test_the_payloads_are_what_they_say(left: Path) -> None:
    harmful = payloads(left)
    for kind in ("dotted name", "old opcode", "old opcode, called at once", "old opcode for an object"):
        pickle.loads(harmful[kind])
        left.rmdir()
    for kind in ("a change of a class", "an object that is called", "persistent id"):
        assert len(list(pickletools.genops(harmful[kind]))) > 2


def test_the_extension_registry_opens_no_door(left: Path) -> None:
    copyreg.add_extension("os", "mkdir", 0x7E)
    try:
        payload = b"\x80\x04\x82\x7e" + _text(str(left)) + b"\x85R."
        pickle.loads(payload)
        left.rmdir()
        assert refused(pickle_codec(), forged(payload)).reason == "corrupt"
    finally:
        copyreg.remove_extension("os", "mkdir", 0x7E)


def test_a_name_that_could_be_payload_is_not_shown() -> None:
    error = refused(pickle_codec(), forged(names("my secret", "word!") + b"."))

    assert "secret" not in str(error)
    assert error.reason == "class not allowed"


PAYLOAD_WRITERS: list[Callable[[Any], bytes]] = [lambda value: pickle.dumps(value, 2), pickle.dumps]


@pytest.mark.parametrize("write", PAYLOAD_WRITERS)
def test_other_protocols_are_read_by_the_same_list(write: Callable[[Any], bytes], bomb: bytes) -> None:
    codec = pickle_codec()

    assert codec.decode(forged(write({"a": [1, Point(1)]})), CONTEXT) == {"a": [1, Point(1)]}
