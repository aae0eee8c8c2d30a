"""Which of a Cluster's 16,384 slots a key is in (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/)."""

from __future__ import annotations

from binascii import crc_hqx
from functools import cache
from itertools import count

SLOTS = 16384


def slot_of(key: str | bytes) -> int:
    """The slot of a key: CRC16 of its hash tag if it has one, else of all of it."""
    data = key.encode() if isinstance(key, str) else key
    start = data.find(b"{")
    if start >= 0:
        end = data.find(b"}", start + 1)
        if end > start + 1:
            data = data[start + 1 : end]
    return crc_hqx(data, 0) % SLOTS


def same_slot(key: str) -> str:
    """What makes another key be in the slot of `key`, and nobody else's: its hash tag, mostly all of it."""
    if "}" not in key:
        return f"{{{key}}}"
    # A tag ends at its first brace: a number stands for the slot, and the key, without one, for itself.
    escaped = key.replace("%", "%25").replace("}", "%7D")
    return f"{{{_number_in(slot_of(key))}}}{{{escaped}}}"


@cache
def _number_in(slot: int) -> int:
    """The first number that is in a slot: some 16,000 are tried, in about 10 ms."""
    return next(number for number in count() if slot_of(str(number)) == slot)
