"""The pickled threads of MiniAgent: a dict of messages and events, and nothing else.

Nothing authenticates these bytes, so they are read by a machine that has no more than they need.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from miniagent_serializers.restricted_pickle import RestrictedUnpickler
from miniagent_store.errors import DecodeError
from miniagent_store.serializer import Context, Limits

# Times in messages; whatever else stood in them was made of dicts, lists and scalars.
_CLASSES = {("datetime", cls.__name__): cls for cls in (datetime, timedelta, timezone)}
# PROTO, since Python 3: what `pickle.dumps` begins with by itself.
_STARTS = (b"\x80\x03", b"\x80\x04", b"\x80\x05")
_KEY_TYPES = (str, int, float, bool, type(None))


class LegacyPickleThread:
    """Reads ``{"messages": [dict, …], "events": [dict, …]}``; events may be missing."""

    name = "pickle-thread"

    def recognises(self, data: bytes) -> bool:
        return data.startswith(_STARTS)

    def read(self, data: bytes, context: Context, limits: Limits) -> Any:
        thread = _ThreadUnpickler(data, _CLASSES).load()
        # A pickle of a few bytes can refer to itself so often that to walk it takes for ever.
        _check_extent(thread, limits.decoded // 64)
        if not _is_thread(thread):
            raise DecodeError("corrupt", codec=self.name, detail="it is no dict of messages and events")
        return thread


class _ThreadUnpickler(RestrictedUnpickler):
    """Hashes nothing but scalars: the hash of a tuple in a tuple, and so on, would exhaust the C stack."""

    without = frozenset({"EMPTY_SET", "ADDITEMS", "FROZENSET"})

    def load_setitem(self) -> None:
        _check_keys(self.stack[-2:-1])
        super().load_setitem()  # type: ignore[misc]

    def load_setitems(self) -> None:
        _check_keys(self.stack[::2])
        super().load_setitems()  # type: ignore[misc]


def _check_keys(keys: list[Any]) -> None:
    if not all(isinstance(key, _KEY_TYPES) for key in keys):
        raise DecodeError("corrupt", detail="a key is no scalar")


def _check_extent(value: Any, most: int) -> None:
    waiting = [value]
    while waiting:
        most -= 1
        if most < 0:
            raise DecodeError("too large", detail="it repeats itself too often, or contains itself")
        item = waiting.pop()
        if type(item) is dict:
            waiting.extend(item.values())
        elif type(item) is list or type(item) is tuple:
            waiting.extend(item)


def _is_thread(thread: Any) -> bool:
    return (
        type(thread) is dict
        and "messages" in thread
        and thread.keys() <= {"messages", "events"}
        and all(
            type(items) is list and all(type(item) is dict for item in items) for items in thread.values()
        )
    )
