"""Where a key of Strands stands: which session, and under which name in its state."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from miniagent_store.errors import InvalidArgumentError
from miniagent_store.ids import join_id

_DEPTH = 2  # "session/<id>" and "context/<id>": what belongs to one session stands in one


class Place(NamedTuple):
    """A session of the store, and a name in it (or the beginning of names)."""

    session_id: str
    name: str


def place_of(prefix: str, key: str) -> Place:
    """Where a key stands.

    Raises:
        InvalidArgumentError: it is empty, too long, or holds a backslash or a ".." segment.
    """
    *folders, last = _segments(key)
    if not last and not folders:
        raise InvalidArgumentError("a storage key must not be empty")
    return Place(join_id(prefix, *folders[:_DEPTH]), join_id(*folders[_DEPTH:], last))


def place_of_all(prefix: str, beginning: str) -> Place | None:
    """Where all keys with a beginning stand; None where that is more than one session."""
    segments = _segments(beginning, is_beginning=True)
    if len(segments) <= _DEPTH:
        return None
    name = "/".join(join_id(part) if part else "" for part in segments[_DEPTH:])
    return Place(join_id(prefix, *segments[:_DEPTH]), name)


def key_of(prefix: str, place: Place) -> str:
    """The key that stands there."""
    folders = place.session_id[len(join_id(prefix)) :].strip("/")
    joined = f"{folders}/{place.name}" if folders else place.name
    return unquote(joined, errors="surrogatepass")


def beginning_of(beginning: str) -> str:
    """A beginning of keys, as keys are written: no doubled or leading slashes.

    Raises:
        InvalidArgumentError: it holds a backslash or a ".." segment.
    """
    return "/".join(_segments(beginning, is_beginning=True))


def _segments(key: str, *, is_beginning: bool = False) -> list[str]:
    # As the backends that come with Strands: slashes once, no backslash, no way up.
    if "\\" in key:
        raise InvalidArgumentError("invalid storage key: backslashes are not allowed")
    key = re.sub(r"/+", "/", key)
    segments = (key.lstrip("/") if is_beginning else key.strip("/")).split("/")
    if ".." in segments:
        raise InvalidArgumentError("invalid storage key: '..' path segments are not allowed")
    return segments
