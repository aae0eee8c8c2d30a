"""Stored bytes as JSON that any program reads, and back.

The JSON is what the value model has for serializers that know JSON only, tags included: so values can be
compared whatever codecs and keys they were stored with.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from miniagent_store.codec.value_model import ValueModel
from miniagent_store.moving.whole import WholeSession
from miniagent_store.serializer import Context
from miniagent_store.store.core import StoreCore
from miniagent_store.store.session_keys import Sealing


class PlainValues:
    """What opens a store's sessions, and closes them again.

    Args:
        core: of the store, whose keys and types are used.
    """

    def __init__(self, core: StoreCore) -> None:
        self._core, self._codec = core, core.coding.codec
        self._model = ValueModel(self._codec.types, self._codec.limits)

    def opened(self, session: WholeSession) -> WholeSession:
        """A session of the store with its values as JSON.

        Raises:
            SerializationError: a value cannot be read.
        """

        def opened(data: bytes, *place: Any) -> bytes:
            return self.json_of(self._codec.decode(data, self._place(session.id, *place)))

        changed = session.mapped(opened)
        return replace(changed, record=replace(changed.record, data_key=b""), plain=True)

    async def closed(self, session: WholeSession) -> tuple[WholeSession, Sealing]:
        """A session with its values as this store writes them, and what its data key is.

        Raises:
            SerializationError, KeyProviderError: a value cannot be written.
        """

        def closed(data: bytes, *place: Any) -> bytes:
            value = self._model.restore(json.loads(data), tagged=True, native_bytes=False)
            return self._codec.encode(value, self._place(session.id, *place))

        sealing = await self._core.keys.fresh(session.id)
        with self._core.keys.sealing(session.id, sealing):
            return replace(session.mapped(closed), plain=False), sealing

    def _place(self, session_id: str, field: str, log: str, entry_id: bytes | None) -> Context:
        if entry_id is not None:
            return self._core.coding.entry_context(session_id, log, entry_id)
        return self._core.coding.context(session_id, field)

    def json_of(self, value: Any) -> bytes:
        """A value as JSON."""
        plain, _ = self._model.flatten(value, native_bytes=False)
        return dumped(plain)


def dumped(plain: Any) -> bytes:
    """JSON without blanks, in UTF-8."""
    return _encode(plain).encode()


# Made once: `json.dumps` would make one for each line.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
