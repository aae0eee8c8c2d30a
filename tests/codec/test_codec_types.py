from __future__ import annotations

import collections
import dataclasses
import enum
from datetime import UTC, datetime
from typing import Any

import attrs
import msgspec
import pydantic
import pytest
from codec_support import CONTEXT, SERIALIZERS, make_codec

from miniagent_store.codec import TypeRegistry
from miniagent_store.errors import ConfigurationError, DecodeError, EncodeError

types = TypeRegistry()


@types.register("acme.Part/1")
@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    kind: str
    when: datetime
    tags: frozenset[str] = frozenset()


@types.register("acme.Message/1")
@dataclasses.dataclass
class Message:
    text: str
    parts: list[Part]
    extra: dict[Any, Any] = dataclasses.field(default_factory=dict)
    length: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        self.length = len(self.text)


@types.register("acme.Attrs/1")
@attrs.define
class Attrs:
    name: str
    _private: tuple[int, ...]
    derived: int = attrs.field(init=False, default=7)


@types.register("acme.Struct/1")
class Struct(msgspec.Struct, rename="camel"):
    first_name: str
    at: datetime | None = None


class Inner(pydantic.BaseModel):
    at: datetime
    ids: set[int]


@types.register("acme.Model/1")
class Model(pydantic.BaseModel):
    inner: Inner
    aliased: int = pydantic.Field(alias="theAlias")


@types.register("acme.Level/1")
class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


Point = types.register(collections.namedtuple("Point", "x y"), "acme.Point/1")


class Plain:
    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and self.text == other.text

    __hash__ = None  # type: ignore[assignment]


types.register(
    Plain, "acme.Plain/1", to_fields=lambda p: {"t": p.text}, from_fields=lambda f: Plain(f["t"])
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OBJECTS = [
    Part("image", NOW, frozenset({"a"})),
    Message("hi", [Part("text", NOW)], {1: (2, 3), "$t": b"\x00"}),
    Attrs("n", (1, 2)),
    Struct("Ada", NOW),
    Model(inner=Inner(at=NOW, ids={1, 2}), theAlias=3),
    Level.HIGH,
    Point(1, (2,)),
    Plain("x"),
    {Part("key", NOW): [Level.LOW]},
]


@pytest.mark.parametrize("name", SERIALIZERS)
@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_a_registered_object_returns_as_it_was(name: str, value: Any) -> None:
    codec = make_codec(name, types=types)

    returned = codec.decode(codec.encode(value, CONTEXT), CONTEXT)

    assert type(returned) is type(value)
    assert returned == value
    assert repr(returned) == repr(value) or isinstance(value, Plain)


def test_an_object_is_stored_under_its_name_and_never_its_class() -> None:
    blob = make_codec("json", types=types).encode(Point(1, 2), CONTEXT)

    assert b'{"$t":"object","v":{"n":"acme.Point/1","f":{"x":1,"y":2}}}' in blob
    assert __name__.encode() not in blob


def test_an_unregistered_object_is_refused_at_both_ends() -> None:
    blob = make_codec("json", types=types).encode([Part("a", NOW)], CONTEXT)

    with pytest.raises(EncodeError, match=r"types\.register\(Part, 'yourapp\.Part/1'\)"):
        make_codec("json").encode(Part("a", NOW), CONTEXT)
    with pytest.raises(DecodeError, match=r"register the class for 'acme\.Part/1'") as caught:
        make_codec("json").decode(blob, CONTEXT)
    assert (caught.value.reason, caught.value.path) == ("type not registered", "[0]")


def test_a_subclass_is_not_registered_along_with_its_base() -> None:
    class Special(Message):
        pass

    with pytest.raises(EncodeError, match="unsupported type"):
        make_codec("json", types=types).encode(Special("a", []), CONTEXT)


def test_a_new_field_with_a_default_reads_older_values() -> None:
    @dataclasses.dataclass
    class Old:
        a: int

    @dataclasses.dataclass
    class New:
        a: int
        b: str = "new"

    old, new = TypeRegistry(), TypeRegistry()
    old.register(Old, "acme.Thing/1")
    new.register(New, "acme.Thing/1")

    blob = make_codec("msgpack", types=old).encode(Old(1), CONTEXT)

    assert make_codec("msgpack", types=new).decode(blob, CONTEXT) == New(1, "new")
    newer = make_codec("msgpack", types=new).encode(New(1), CONTEXT)
    with pytest.raises(DecodeError, match="fields do not fit"):
        make_codec("msgpack", types=old).decode(newer, CONTEXT)


def test_a_nested_object_has_to_be_registered_too() -> None:
    lonely = TypeRegistry()
    lonely.register(Message, "acme.Message/1")

    with pytest.raises(EncodeError, match="Part is not in the value model") as caught:
        make_codec("json", types=lonely).encode(Message("a", [Part("x", NOW)]), CONTEXT)

    assert caught.value.path == "parts[0]"


@dataclasses.dataclass
class WithInitVar:
    a: int
    b: dataclasses.InitVar[int]


class TwoAliases(pydantic.BaseModel):
    a: int = pydantic.Field(validation_alias="x", serialization_alias="y")


@pytest.mark.parametrize(
    ("cls", "name", "reason"),
    [
        (Plain, "acme.New/1", "is registered as 'acme.Plain/1'"),
        (WithInitVar, "acme.Message/1", "Message is registered as"),
        (WithInitVar, "acme.InitVar/1", "has an InitVar"),
        (TwoAliases, "acme.Aliases/1", "another alias than it is read by"),
        (WithInitVar, "no spaces", "cannot name a type"),
        (WithInitVar, "", "cannot name a type"),
        (datetime, "acme.Time/1", "can be stored as it is"),
        (object, "acme.Object/1", "pass to_fields= and from_fields="),
        (3, "acme.Three/1", "takes a class"),
    ],
)
def test_a_class_that_cannot_be_registered_so_is_refused(cls: Any, name: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        types.register(cls, name)

    assert reason in str(caught.value)


def test_one_way_alone_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="both to_fields and from_fields"):
        TypeRegistry().register(Plain, "acme.Plain/1", to_fields=vars)


def test_registering_the_same_again_is_fine() -> None:
    types.register(Part, "acme.Part/1")

    assert "acme.Part/1" in types


@pytest.mark.parametrize("fields", [None, [("a", 1)], {1: 2}, {"$t": 1}])
def test_fields_must_be_a_dict_with_names(fields: Any) -> None:
    odd = TypeRegistry()
    odd.register(Plain, "acme.Odd", to_fields=lambda _: fields, from_fields=Plain)

    with pytest.raises(EncodeError, match="to_fields must return a dict with str keys"):
        make_codec("json", types=odd).encode(Plain("x"), CONTEXT)
