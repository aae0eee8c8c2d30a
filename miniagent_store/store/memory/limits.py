"""What one memory may be, checked before anything is embedded or stored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from miniagent_store.errors import InvalidArgumentError, shorten
from miniagent_store.ids import check_id, check_name
from miniagent_store.values import MemorySource

# Bytes of UTF-8. A search reads as many memories as it gives, so none should be a book.
MAX_TEXT_BYTES = 256 * 1024
MAX_METADATA_BYTES = 64 * 1024
MAX_FIELDS = 256
MAX_DEPTH = 16
# Whole numbers that every serializer keeps as they are.
LEAST, MOST = -(2**63), 2**63 - 1


def text_of(said: Any) -> str:
    """The text of a text or a message.

    Raises:
        InvalidArgumentError: there is none, it is too long, or it is no Unicode.
    """
    text = said.get("content") if isinstance(said, Mapping) else said
    if not isinstance(text, str) or not text.strip():
        raise InvalidArgumentError("there is no text to remember")
    return check_text(text, what="the text of a memory")


def check_text(text: str, *, what: str) -> str:
    """Return `text` if it can be stored or embedded.

    Raises:
        InvalidArgumentError: it is too long, or it is no Unicode.
    """
    if (size := _bytes_of(text, what)) > MAX_TEXT_BYTES:
        raise InvalidArgumentError(
            f"{what} has {size} bytes; at most {MAX_TEXT_BYTES} are remembered as one: split it, "
            "as the parts are found better too"
        )
    return text


def cut(text: str, *, end: bool = False) -> str:
    """As much of a text as is remembered as one, in Unicode: for who is given texts and may refuse none.

    Args:
        text: of any length, and whatever stands in it.
        end: whether its end is kept, not its beginning.
    """
    said = text.encode(errors="replace")
    if len(said) > MAX_TEXT_BYTES:
        said = said[-MAX_TEXT_BYTES:] if end else said[:MAX_TEXT_BYTES]
    return said.decode(errors="ignore")


def check_metadata(metadata: Any) -> dict[str, Any]:
    """A copy of metadata that holds nothing but what every serializer keeps.

    Lists and mappings are kept too; no filter finds anything in them.

    Raises:
        InvalidArgumentError: it holds something else, or too much.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise InvalidArgumentError(f"metadata is a mapping, not {type(metadata).__name__}")
    if len(metadata) > MAX_FIELDS:
        raise InvalidArgumentError(f"metadata may have {MAX_FIELDS} fields, not {len(metadata)}")
    room = [MAX_METADATA_BYTES]
    checked = {}
    for name, value in metadata.items():
        check_name(name, what="field of metadata")
        _take(room, len(name))
        checked[name] = _plain(value, name, room, MAX_DEPTH)
    return checked


def _plain(value: Any, name: str, room: list[int], depth: int) -> Any:
    if value is None or isinstance(value, bool):
        _take(room, 1)
    elif isinstance(value, str):
        _take(room, _bytes_of(value, f"field {shorten(name)!r} of metadata"))
    elif isinstance(value, int):
        _take(room, 8)
        if not LEAST <= value <= MOST:
            raise InvalidArgumentError(
                f"field {shorten(name)!r} of metadata: a whole number has at most 64 bits; "
                "pass larger ones as text"
            )
        return int(value)
    elif isinstance(value, float):
        _take(room, 8)
        if not math.isfinite(value):
            raise InvalidArgumentError(
                f"field {shorten(name)!r} of metadata is no number (NaN or infinite)"
            )
        return float(value)
    elif isinstance(value, Mapping | list | tuple):
        return _nested(value, name, room, depth - 1)
    else:
        raise InvalidArgumentError(
            f"field {shorten(name)!r} of metadata: there are texts, numbers, true, false, null, and lists "
            f"and mappings of these, not {type(value).__name__}"
        )
    return value


def _nested(value: Any, name: str, room: list[int], depth: int) -> Any:
    if depth < 1:
        raise InvalidArgumentError(f"field {shorten(name)!r} of metadata is nested too deep")
    _take(room, 1)
    if not isinstance(value, Mapping):
        return [_plain(each, name, room, depth) for each in value]
    made = {}
    for key, each in value.items():
        if type(key) is not str:
            raise InvalidArgumentError(f"field {shorten(name)!r} of metadata: keys are texts")
        _take(room, _bytes_of(key, f"field {shorten(name)!r} of metadata"))
        made[key] = _plain(each, name, room, depth)
    return made


def _take(room: list[int], size: int) -> None:
    room[0] -= size
    if room[0] < 0:
        raise InvalidArgumentError(f"metadata of a memory may have {MAX_METADATA_BYTES} bytes")


def _bytes_of(text: str, what: str) -> int:
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidArgumentError(f"{what} holds half a surrogate pair, which is no Unicode") from None


def check_source(source: Any) -> MemorySource | None:
    """Return `source` if it is one.

    Raises:
        InvalidArgumentError: it is not.
    """
    if source is None:
        return None
    if not isinstance(source, MemorySource):
        raise InvalidArgumentError(f"a source is a MemorySource, not {type(source).__name__}")
    check_id(source.session_id)
    seq: Any = source.seq
    if seq is not None and (type(seq) is not int or not 1 <= seq <= MOST):
        raise InvalidArgumentError(f"seq of a source is the sequence of a message, not {seq!r}")
    for each in (source.entry_id, source.incarnation):
        if each is not None:
            check_name(each, what="id in a source")
    return source


def check_time(time: Any, *, what: str) -> datetime | None:
    """Return `time` if it says when, whichever clock is meant.

    Raises:
        InvalidArgumentError: it does not.
    """
    if time is not None and (not isinstance(time, datetime) or time.tzinfo is None):
        raise InvalidArgumentError(f"{what} must be an aware datetime, such as datetime.now(UTC)")
    return time


def check_score(score: Any) -> float | None:
    """Return `score` if it is a number.

    Raises:
        InvalidArgumentError: it is not.
    """
    is_number = isinstance(score, int | float) and not isinstance(score, bool)
    if score is not None and not (is_number and score == score):
        raise InvalidArgumentError(f"min_score must be a number, not {score!r}")
    return None if score is None else float(score)


def pages(sizes: Sequence[int], *, count: int, size: int) -> Iterable[slice]:
    """Cut things of sizes into pages of at most so many, and of at most `size` together."""
    start = total = 0
    for at, each in enumerate(sizes):
        if at > start and (at - start == count or total + each > size):
            yield slice(start, at)
            start, total = at, 0
        total += each
    if start < len(sizes):
        yield slice(start, len(sizes))
