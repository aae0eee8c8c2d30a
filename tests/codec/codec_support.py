"""What the tests of the codec share: a registry, toy layers, values, and when two values are the same."""

from __future__ import annotations

import hashlib
import hmac
import zlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from miniagent_serializers import plugin
from miniagent_store.codec import Chain, Codec, TypeRegistry
from miniagent_store.codec.unsafe import allow_unsafe
from miniagent_store.errors import ConfigurationError, TamperedError
from miniagent_store.keys import KeySource
from miniagent_store.provider import Provider
from miniagent_store.serializer import Context, LayerKind, Limits

CONTEXT = Context("app", "session", "s1", "entry", "messages", b"\x01" * 16)
SERIALIZERS = ("json", "orjson", "msgpack")
COMPRESSORS = ("zlib", "zstd")


class ToyZip:
    """A compressor of a third party, and one without bounds."""

    name = "toyzip"
    wire_id: int | None = 0x90
    kind: LayerKind = "compress"
    params_size = 0
    authenticated = False

    def encode(self, data: bytes, context: Context, header: bytes) -> tuple[bytes, bytes]:
        return b"", zlib.compress(data)

    def decode(self, params: bytes, body: bytes, context: Context, header: bytes, limits: Limits) -> bytes:
        return zlib.decompress(body)


class ToySeal:
    """Authenticates and binds like an AEAD, but hides nothing; for the place that AES-GCM will have."""

    name = "toyseal"
    wire_id: int | None = None
    kind: LayerKind = "encrypt"
    params_size = 6
    authenticated = True
    _key_id = bytes.fromhex("9f3a11c0")

    def encode(self, data: bytes, context: Context, header: bytes) -> tuple[bytes, bytes]:
        params = self._key_id + b"nn"
        return params, data + self._mac(params, data, context, header)

    def decode(self, params: bytes, body: bytes, context: Context, header: bytes, limits: Limits) -> bytes:
        data, mac = body[:-32], body[-32:]
        if not hmac.compare_digest(mac, self._mac(params, data, context, header)):
            raise TamperedError("tampered", detail="modified, moved from another place, or key mismatch")
        return data

    def _mac(self, params: bytes, data: bytes, context: Context, header: bytes) -> bytes:
        return hmac.digest(b"key", repr((params, data, context, header)).encode(), hashlib.sha256)


class PlainRegistry:
    """The built-ins, the toys, and whatever else a test brings; without the plugin manager.

    Codecs named in `without` are as if no plugin brought them when their values are read.
    """

    def __init__(
        self,
        serializers: Iterable[Any] = (),
        layers: Iterable[Any] = (),
        *,
        without: Iterable[str] = (),
    ) -> None:
        self._without = frozenset(without)
        self._serializers = [
            *(Provider(s.name, lambda s=s: s, wire_id=s.wire_id, safe=s.safe) for s in serializers),
            *plugin.provide_serializers(),
        ]
        self._layers = [
            # What a test brings comes first, so that it can stand in for a built-in.
            *(Provider(x.name, lambda x=x: x, wire_id=x.wire_id) for x in (*layers, ToyZip(), ToySeal())),
            *plugin.provide_layers(),
        ]

    def serializer(self, name: str) -> Provider[Any]:
        return self._find(name, self._serializers)

    def layer(self, name: str) -> Provider[Any]:
        return self._find(name, self._layers)

    def legacy_reader(self, name: str) -> Provider[Any]:
        return self._find(name, plugin.provide_legacy_readers())

    def by_wire_id(self, wire_id: int) -> Provider[Any] | None:
        return next((p for p in self._all() if p.wire_id == wire_id), None)

    def by_wire_name(self, name: str) -> Provider[Any] | None:
        return next((p for p in self._all() if p.wire_id is None and p.name == name), None)

    def _all(self) -> list[Provider[Any]]:
        return [p for p in (*self._serializers, *self._layers) if p.name not in self._without]

    def _find(self, name: str, providers: list[Provider[Any]]) -> Provider[Any]:
        for provider in providers:
            if provider.name == name:
                return provider
        raise ConfigurationError(f"unknown codec {name!r}")


def make_codec(
    chain: str,
    *,
    accept: Iterable[str] = (),
    limits: Limits | None = None,
    types: TypeRegistry | None = None,
    registry: PlainRegistry | None = None,
    keys: KeySource | None = None,
    allow_pickle: bool = False,
) -> Codec:
    registry = registry or PlainRegistry()
    chains = [Chain.parse(text, registry) for text in (chain, *accept)]
    if allow_pickle:
        chains = [allow_unsafe(each, allow_pickle=True, classes=()) for each in chains]
    return Codec(
        chains[0],
        registry=registry,
        accept=chains[1:],
        limits=limits,
        types=types,
        keys=keys,
    )


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


# -- values --------------------------------------------------------------------------------------------

_texts = st.text(st.characters(codec="utf-8"), max_size=12)
_zones = st.one_of(
    st.none(),
    st.just(UTC),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC"]).map(ZoneInfo),
    st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
    st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)), _texts),
)
_folds = st.sampled_from([0, 1])
_numbers = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-(10**60), 10**60),
    st.sampled_from([-(2**63) - 1, -(2**63), 2**63, 2**64 - 1, 2**64]),
    st.integers(4200, 4299).map(lambda digits: 10**digits),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False),
)
_times = st.one_of(
    st.dates(),
    st.builds(lambda d, z, f: d.replace(tzinfo=z, fold=f), st.datetimes(), _zones, _folds),
    st.builds(lambda t, z, f: t.replace(tzinfo=z, fold=f), st.times(), _zones, _folds),
    st.timedeltas(),
)
_keys = st.recursive(
    st.one_of(st.none(), _numbers, _texts, st.binary(max_size=12), _times, st.uuids()),
    lambda inner: st.one_of(st.tuples(inner), st.tuples(inner, inner), st.frozensets(inner, max_size=3)),
    max_leaves=4,
)
_odd_keys = st.sampled_from(["$t", "v", "lc", "__type__", "n", "f", "", "\x00"])
_names = st.one_of(_odd_keys, _texts)

values = st.recursive(
    st.one_of(_keys, st.just(float("nan")), st.just(Decimal("NaN")), st.just(Decimal("sNaN"))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(_names, inner, max_size=4),
        st.dictionaries(_keys, inner, max_size=3),
        st.sets(_keys, max_size=3),
        st.frozensets(_keys, max_size=3),
    ),
    max_leaves=10,
)

plain_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        _texts,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_names, inner, max_size=4)),
    max_leaves=12,
)


def shape(value: Any) -> Any:
    """All that makes a value what it is: type, `repr`, offset, fold; sets without their order."""
    kind = type(value)
    if kind in (list, tuple):
        return kind, [shape(item) for item in value]
    if kind is dict:
        return kind, [(shape(key), shape(item)) for key, item in value.items()]
    if kind in (set, frozenset):
        return kind, sorted(repr(shape(item)) for item in value)
    if kind in (datetime, time):
        return kind, repr(value), value.fold, value.utcoffset(), value.tzname(), type(value.tzinfo)
    return kind, repr(value)


EXAMPLE: dict[str, Any] = {
    "role": "user",
    "text": "Grüße, 世界 🌍",
    "none": None,
    "flags": [True, False],
    "ints": [0, -1, 2**64 - 1, -(2**63), 2**64, -(10**40)],
    "floats": [0.5, -0.0, 1e300, float("inf"), float("-inf")],
    "bytes": b"\x00\xff\xc1",
    "when": datetime(2026, 10, 25, 2, 30, 1, 5, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    "utc": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "named": datetime(2026, 1, 2, tzinfo=timezone(timedelta(minutes=-90), "X")),
    "naive": datetime(2026, 1, 2),
    "date": date(2026, 2, 28),
    "time": time(23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=2)), fold=1),
    "delta": timedelta(days=-1, microseconds=7),
    "uuid": UUID("12345678-1234-5678-1234-567812345678"),
    "decimal": [Decimal("1.10"), Decimal("-0"), Decimal("1E+30")],
    "tuple": (1, ("a", [2])),
    "set": {3},
    "frozenset": frozenset({"x"}),
    "map": {1: "one", (2, "b"): "two", None: "none"},
    "escape": {"$t": "uuid", "v": "not a uuid"},
    "empty": [[], {}, (), set(), ""],
}
"""One of each, for golden files and for the tests that damage bytes."""
