"""MessagePack: compact, and bytes need no tag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import msgpack  # type: ignore[import-untyped]

from miniagent_store.serializer import Context, Limits

# Bytes of a packer's first buffer.
_BUFFER = 256 * 1024


class MsgpackSerializer:
    """MessagePack without extension types."""

    name = "msgpack"
    wire_id: int | None = 0x02
    safe = True
    native_bytes = True

    def __init__(self) -> None:
        # Whoever packs has one for itself: threads, and what the garbage collector runs in between.
        self._packers: list[Any] = []

    def dumps(self, value: Any, context: Context) -> bytes:
        return self.dumps_strictly(value)

    def dumps_strictly(self, value: Any) -> bytes:
        """As `dumps`. An int outside of 64 bits and text that is not valid raise."""
        try:
            packer = self._packers.pop()
        except IndexError:
            packer = msgpack.Packer()
        data: bytes = packer.pack(value)
        # One that failed is not used again, nor one whose buffer has grown.
        if len(data) < _BUFFER:
            self._packers.append(packer)
        return data

    def loads(self, data: bytes, context: Context, limits: Limits) -> Any:
        return msgpack.unpackb(data, ext_hook=_refuse)

    def load_all(self, data: Sequence[bytes]) -> list[Any]:
        """Read many values, extension types among them, for a caller who looks at all types."""
        return list(map(msgpack.unpackb, data))


def _refuse(code: int, data: bytes) -> NoReturn:
    raise ValueError("extension types are not used")
