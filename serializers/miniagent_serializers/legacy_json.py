"""The plain JSON that MiniAgent's sessions, caches and threads were stored as."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from miniagent_serializers.bounded import decompress_bounded
from miniagent_store.serializer import Context, Limits

# Of an object, an array, a text, a number, or one of the words, NaN and Infinity among them.
_STARTS = frozenset(b'{["-0123456789tfnNI')
_EVENTS, _COMPRESSED = "events", "events_compressed"


class LegacyJson:
    """Reads a JSON text.

    The events of a thread, which were compressed when there were many, are put back in their place.
    """

    name = "json"

    def recognises(self, data: bytes) -> bool:
        text = data.lstrip(b" \t\r\n")
        return bool(text) and text[0] in _STARTS

    def read(self, data: bytes, context: Context, limits: Limits) -> Any:
        value = json.loads(data.decode())
        if type(value) is dict and type(value.get(_COMPRESSED)) is str and value.get(_EVENTS) == []:
            compressed = base64.b64decode(value.pop(_COMPRESSED), validate=True)
            events = decompress_bounded(zlib.decompressobj(), compressed, self.name, limits)
            value[_EVENTS] = json.loads(events.decode())
        return value
