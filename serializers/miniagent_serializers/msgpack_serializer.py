"""MessagePack: compact, and bytes need no tag."""

from __future__ import annotations

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


def _refuse(code: int, data: bytes) -> NoReturn:
    raise ValueError("extension types are not used")
