"""The plain JSON that MiniAgent's sessions, caches and threads were stored as."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from miniagent_serializers.bounded import decompress_bounded
from miniagent_store.serializer import Context, Limits

_STARTS = b'{["-0123456789tfnNI'
_EVENTS, _COMPRESSED = "events", "events_compressed"


class LegacyJson:
    """Reads a JSON text.

    The events of a thread, which were compressed when there were many, are put back in their place.
    """

    name = "json"

    def recognises(self, data: bytes) -> bool:
        return data.lstrip(b" \t\r\n")[:1] in _STARTS_SET

    def read(self, data: bytes, context: Context, limits: Limits) -> Any:
        value = json.loads(data.decode())
        if type(value) is dict and type(value.get(_COMPRESSED)) is str and value.get(_EVENTS) == []:
            compressed = base64.b64decode(value.pop(_COMPRESSED), validate=True)
            events = decompress_bounded(zlib.decompressobj(), compressed, self.name, limits)
            value[_EVENTS] = json.loads(events.decode())
        return value


_STARTS_SET = frozenset(_STARTS[at : at + 1] for at in range(len(_STARTS)))
