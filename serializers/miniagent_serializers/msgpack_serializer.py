"""MessagePack: compact, and bytes need no tag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import msgpack  # type: ignore[import-untyped]

from miniagent_store.serializer import Context, Limits


class MsgpackSerializer:
    """MessagePack without extension types."""

    name = "msgpack"
    wire_id: int | None = 0x02
    safe = True
    native_bytes = True

    def dumps(self, value: Any, context: Context) -> bytes:
        data: bytes = msgpack.packb(value)
        return data

    def loads(self, data: bytes, context: Context, limits: Limits) -> Any:
        return msgpack.unpackb(data, ext_hook=_refuse)

    def load_all(self, data: Sequence[bytes]) -> list[Any]:
        """Read many values, extension types among them, for a caller who looks at all types."""
        return list(map(msgpack.unpackb, data))


def _refuse(code: int, data: bytes) -> NoReturn:
    raise ValueError("extension types are not used")
