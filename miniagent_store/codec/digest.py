"""A fingerprint of a value that does not depend on the order of mappings and sets."""

from __future__ import annotations

import functools
import hashlib
import hmac
from typing import Any

import msgpack  # type: ignore[import-untyped]

from miniagent_store.codec.plain import TAG, VALUE
from miniagent_store.keys.key import Key

PLAIN_SIZE = 32
_KEYED_SIZE = 16
_CONTAINERS = frozenset({dict, list})
_UNORDERED = frozenset({"set", "frozenset", "map"})


def digest_of(data: Any) -> bytes:
    """SHA-256 over canonical msgpack of `data`, as `ValueModel.flatten` made it with native bytes.

    Canonical: keys that are str are sorted as text; the pairs of other mappings and the elements of sets by
    the bytes of their canonical msgpack. Values of different types never share a digest, not even 1, 1.0
    and True.
    """
    return hashlib.sha256(_pack(ordered(data))).digest()


def keyed_digest_of(data: Any, key: Key) -> bytes:
    """The same by HMAC-SHA-256: the key's id, then 16 bytes."""
    tag = hmac.digest(_digest_key(key), _pack(ordered(data)), hashlib.sha256)
    return key.id + tag[:_KEYED_SIZE]


@functools.lru_cache(maxsize=4096)
def _digest_key(key: Key) -> bytes:
    return key.derive(b"digest")


def ordered(data: Any) -> Any:
    """`data` with mappings and sets in an order that is always the same; as `digest_of` says it."""
    kind = type(data)
    if kind is list:
        return [ordered(item) for item in data]
    if kind is not dict:
        return data
    if TAG in data and data[TAG] in _UNORDERED:
        return {TAG: data[TAG], VALUE: sorted(map(ordered, data[VALUE]), key=_pack)}
    return {key: ordered(item) if type(item := data[key]) in _CONTAINERS else item for key in sorted(data)}


def _pack(data: Any) -> bytes:
    packed: bytes = msgpack.packb(data)
    return packed
