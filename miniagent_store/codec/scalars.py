"""Values without parts that no wire format has: how each is written under its tag, and read again.

A writer returns plain data for the `v` of ``{"$t": tag, "v": …}``; a reader takes that data and may raise
anything, since it is given whatever stands in the bytes. Both keep type, offset, fold and `repr`.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from miniagent_store.errors import DecodeError, EncodeError

_HEX_INT = re.compile(r"-?[1-9a-f][0-9a-f]*")
_ZONE_KEY = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_MICROSECOND = timedelta(microseconds=1)
_FLOATS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}

INT_MIN, INT_END = -(2**63), 2**64


def int_text(value: int) -> str:
    # Hexadecimal: its cost is linear, and `sys.set_int_max_str_digits` does not apply to it.
    return format(value, "x")


def read_int(text: str, bound: int) -> int:
    if len(text) > bound.bit_length() // 4 + 2 or not _HEX_INT.fullmatch(text):
        raise ValueError
    value = int(text, 16)
    if INT_MIN <= value < INT_END or not -bound < value < bound:
        raise ValueError
    return value


def float_text(value: float) -> str:
    return repr(value)


def _read_float(text: str) -> float:
    return _FLOATS[text]


def _bytes_text(value: bytes) -> str:
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def _read_bytes(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)


def _is_known_zone(key: str) -> bool:
    if not _ZONE_KEY.fullmatch(key):
        return False
    try:
        ZoneInfo(key)
    except (LookupError, ValueError, OSError):
        return False
    return True


def _zone_data(zone: tzinfo | None) -> Any:
    """None, the key of a `ZoneInfo`, or [offset in µs] or [offset in µs, name] of a `timezone`."""
    if zone is None:
        return None
    if type(zone) is ZoneInfo and zone.key and _is_known_zone(zone.key):
        return zone.key
    if type(zone) is timezone:
        # The only way to tell a name that was given from one that is derived; pickle uses it as well.
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]
        return [offset // _MICROSECOND, *name]
    raise EncodeError(
        "unsupported type",
        detail=f"its time zone is a {type(zone).__module__}.{type(zone).__qualname__}; "
        "use datetime.timezone or a zoneinfo.ZoneInfo with a key",
    )


def _read_zone(data: Any) -> tzinfo | None:
    if data is None:
        return None
    if type(data) is str:
        if not _is_known_zone(data):
            raise DecodeError(
                "unknown time zone",
                detail="this machine does not know the time zone that was stored; "
                "install or upgrade the package tzdata",
            )
        return ZoneInfo(data)
    offset, *name = data
    return timezone(timedelta(microseconds=offset), *name)


def _datetime_data(value: datetime) -> list[Any]:
    return [value.replace(tzinfo=None).isoformat(), value.fold, _zone_data(value.tzinfo)]


def _read_datetime(data: Any) -> datetime:
    text, fold, zone = data
    value = datetime.fromisoformat(text)
    if value.tzinfo is not None:
        raise ValueError
    return value.replace(fold=fold, tzinfo=_read_zone(zone))


def _time_data(value: time) -> list[Any]:
    return [value.replace(tzinfo=None).isoformat(), value.fold, _zone_data(value.tzinfo)]


def _read_time(data: Any) -> time:
    text, fold, zone = data
    value = time.fromisoformat(text)
    if value.tzinfo is not None:
        raise ValueError
    return value.replace(fold=fold, tzinfo=_read_zone(zone))


def _timedelta_data(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _read_timedelta(data: Any) -> timedelta:
    days, seconds, microseconds = data
    return timedelta(days, seconds, microseconds)


def _read_decimal(text: Any) -> Decimal:
    value = Decimal(text)
    if str(value) != text:  # `Decimal` also takes lists, ints and other spellings
        raise ValueError
    return value


def _read_uuid(text: Any) -> UUID:
    value = UUID(text)
    if str(value) != text:
        raise ValueError
    return value


WRITERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    bytes: ("bytes", _bytes_text),
    date: ("date", date.isoformat),
    datetime: ("datetime", _datetime_data),
    time: ("time", _time_data),
    timedelta: ("timedelta", _timedelta_data),
    Decimal: ("decimal", str),
    UUID: ("uuid", str),
}

READERS: dict[str, Callable[[Any], Any]] = {
    "bytes": _read_bytes,
    "date": date.fromisoformat,
    "datetime": _read_datetime,
    "decimal": _read_decimal,
    "float": _read_float,
    "time": _read_time,
    "timedelta": _read_timedelta,
    "uuid": _read_uuid,
}

# All that the value model has by itself, matched exactly.
MODEL_TYPES: frozenset[type] = frozenset(
    {type(None), bool, int, float, str, list, dict, tuple, set, frozenset, *WRITERS}
)


def equals_itself(value: Any) -> bool:
    """False for NaN, alone or within tuples: as a key or set element it could not be found again."""
    kind = type(value)
    if kind is float:
        return bool(value == value)
    if kind is Decimal:
        return not value.is_nan()
    if kind is tuple:
        return all(map(equals_itself, value))
    return True
