"""Many elements of a list at once, as columns: a loop in C a column, and no object for each entry."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from operator import itemgetter

from miniagent_backends.redis.schema import HAS_CALLER_ID, LAST_TIME_MS, REDACTED, entry_of
from miniagent_store.backend import EntryColumns
from miniagent_store.backend.entry_columns import Marks

# As schema.py has it: version u32, flags u8, id, time u48.
_SIZE, _FLAGS, _TIME, _TIME_SIZE = 23, 4, 17, 6
_head_of, _id_of = itemgetter(slice(_SIZE)), itemgetter(slice(5, 17))
_KNOWN = REDACTED | HAS_CALLER_ID
# Elements that are taken apart before other tasks get a turn.
AT_ONCE = 2000


async def entries_of(elements: Sequence[bytes], first: int) -> EntryColumns:
    """The entries that elements hold, giving way to other tasks in between.

    Args:
        elements: as they stand in the list, one after the other.
        first: the sequence of the first.

    Raises:
        ValueError, LookupError, struct.error: they are not what we write.
    """
    if len(elements) <= AT_ONCE:
        return _columns_of(elements, first)
    parts = []
    for at in range(0, len(elements), AT_ONCE):
        parts.append(_columns_of(elements[at : at + AT_ONCE], first + at))
        await asyncio.sleep(0)
    return EntryColumns.joined(parts)


def _columns_of(elements: Sequence[bytes], first: int) -> EntryColumns:
    count = len(elements)
    heads = b"".join(map(_head_of, elements))
    if len(heads) != count * _SIZE:
        raise ValueError("an element that is cut off")
    flags = heads[_FLAGS::_SIZE]
    marks: dict[int, Marks] = {}
    if flags.count(0) != count:
        elements = list(elements)
        for at, flag in enumerate(flags):
            if flag & ~_KNOWN:
                raise ValueError("an element of a kind that there is not")
            if flag:
                entry = entry_of(first + at, elements[at])
                marks[at] = (entry.redacted, entry.caller_id, entry.digest)
                elements[at] = elements[at][:_SIZE] + entry.payload
    times_ms = _unsigned(heads, _TIME, _TIME_SIZE)
    if max(times_ms, default=0) > LAST_TIME_MS:
        raise ValueError("an entry of a time that there is not")
    ids = list(map(_id_of, elements))
    seqs = range(first, first + count)
    return EntryColumns(seqs, ids, times_ms, lambda: _unsigned(heads, 0, 4), elements, _SIZE, marks)


def _unsigned(heads: bytes, at: int, size: int) -> tuple[int, ...]:
    """The big-endian numbers of `size` bytes at `at` of each head."""
    count = len(heads) // _SIZE
    wide = bytearray(8 * count)
    for number in range(size):
        wide[8 - size + number :: 8] = heads[at + number :: _SIZE]
    return struct.unpack(f">{count}Q", wide)
