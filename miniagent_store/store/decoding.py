"""Entries of a log from their stored bytes, giving way to other tasks in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from miniagent_store.backend import EntryColumns, StoredEntry
from miniagent_store.codec.codec import Codec
from miniagent_store.errors import SerializationError, SessionDamagedError
from miniagent_store.serializer import Context

T = TypeVar("T")
# Decoding goes on for so long before other tasks get a turn.
DECODE_SECONDS = 0.0005
# More entries than this are a long log.
LONG_LOG = 32
# So many entries are decoded without looking at the clock, if they are not large.
AT_ONCE = 512


class LogDecoding:
    """Decodes logs, one long one at a time.

    Args:
        codec: values from their bytes.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._lock = asyncio.Lock()

    async def decode(
        self,
        place: Context,
        stored: Sequence[StoredEntry],
        make: Callable[[EntryColumns, Sequence[dict[str, Any]]], list[T]],
    ) -> list[T]:
        """What `make` makes of some entries and their values, for all of them.

        Args:
            place: of the log's entries; its id makes no difference.
            stored: in order.
            make: is given the entries of a part of the log, and their values.

        Raises:
            SerializationError: one of them cannot be read.
            SessionDamagedError: an id stands twice.
        """
        entries = EntryColumns.of(stored)
        if not entries:
            return []
        if len(set(entries.ids)) != len(entries):
            part = f"log {place.log!r}"
            raise SessionDamagedError(place.session_id, part=part, problem="holds an entry twice")
        if len(entries) <= LONG_LOG:
            values = self._at_once(place, entries)
            return make(entries, [*self._one_by_one(place, entries)] if values is None else values)
        made: list[T] = []
        # Two hundred long logs that give way to each other would still keep all else waiting.
        async with self._lock:
            until = time.perf_counter() + DECODE_SECONDS
            for at in range(0, len(entries), AT_ONCE):
                some = entries.part(at, at + AT_ONCE)
                values = self._at_once(place, some)
                if values is None:
                    values = []
                    for value in self._one_by_one(place, some):
                        values.append(value)
                        if time.perf_counter() > until:
                            await asyncio.sleep(0)
                            until = time.perf_counter() + DECODE_SECONDS
                made += make(some, values)
                if time.perf_counter() > until:
                    await asyncio.sleep(0)
                    until = time.perf_counter() + DECODE_SECONDS
        return made

    def _at_once(self, place: Context, entries: EntryColumns) -> list[dict[str, Any]] | None:
        return self._codec.decode_all(entries.data, entries.start, place, entries.ids)

    def _one_by_one(self, place: Context, entries: EntryColumns) -> Iterator[dict[str, Any]]:
        decode, bound, start = self._codec.decode, self._codec.bound, entries.start
        for seq, entry_id, data in zip(entries.seqs, entries.ids, entries.data, strict=True):
            # Where bytes are not bound to their place, the place is for errors only.
            its_place = replace(place, entry_id=entry_id) if bound else place
            try:
                value = decode(data[start:] if start else data, its_place)
            except SerializationError as error:
                if error.context is not None:
                    error.context = f"session {place.session_id!r} (log {place.log!r}, entry {seq})"
                raise
            yield value if type(value) is dict else dict(value)
