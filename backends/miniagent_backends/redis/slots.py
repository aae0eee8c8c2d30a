"""Which of a Cluster's 16,384 slots a key is in (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/)."""

from __future__ import annotations

from binascii import crc_hqx

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
