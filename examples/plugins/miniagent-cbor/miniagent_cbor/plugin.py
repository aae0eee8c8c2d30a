"""Registers the serializer ``cbor``. Light: cbor2 is imported when the first value is written or read."""

from __future__ import annotations

from collections.abc import Iterable

from miniagent_store import Provider, hookimpl
from miniagent_store.serializer import Serializer

# One byte of each value says that it is CBOR. 0x80 to 0xFE are free for anyone, and no two plugins of one
# place may have the same. None instead writes the name, four bytes more, and meets nobody's number.
WIRE_ID = 0xCB


def _load() -> Serializer:
    from miniagent_cbor.serializer import CborSerializer

    return CborSerializer()


@hookimpl
def provide_serializers() -> Iterable[Provider[Serializer]]:
    """The provider of ``cbor``; with its number, so that stored values find it."""
    return [Provider("cbor", _load, wire_id=WIRE_ID, summary="CBOR (RFC 8949), read in any language")]
