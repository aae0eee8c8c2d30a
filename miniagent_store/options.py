"""The options of a store: names, units, defaults, and how they are read from a URL or from code."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Any, Literal

from miniagent_store.errors import ConfigurationError, InvalidArgumentError, shorten
from miniagent_store.ids import check_namespace
from miniagent_store.url import StoreURL

TTL = float | int | str | timedelta
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?\Z")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|KB|MB|GB|KiB|MiB|GiB|k|K|M|G)?\Z")
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "k": 2**10,
    "K": 2**10,
    "M": 2**20,
    "G": 2**30,
}
# A century in ms still adds up safely in the int64 of any backend.
MAX_TTL_MS = 100 * 366 * 86_400_000


def parse_duration(value: TTL, *, what: str = "duration") -> float:
    """Seconds of a number (of seconds), a timedelta, or a text such as "90", "500ms", "30m", "1h", "7d".

    Raises:
        InvalidArgumentError: it is none of these.
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = _DURATION.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise InvalidArgumentError(
            f"{what} {shorten(str(value))!r} is not a duration; write seconds, or 500ms, 30s, 30m, 1h, 7d"
        )
    return float(match[1]) * _SECONDS[match[2] or "s"]


def parse_ttl_ms(value: TTL | None) -> int | None:
    """Milliseconds of a TTL; None for "never" (and for None).

    Raises:
        InvalidArgumentError: it is not a duration, not above zero, or above a century.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() == "never"):
        return None
    seconds = parse_duration(value, what="ttl")
    if not seconds > 0 or seconds * 1000 < 1:
        raise InvalidArgumentError(f"ttl must be above zero, not {value!r}; for no expiry write 'never'")
    if seconds * 1000 > MAX_TTL_MS:
        raise InvalidArgumentError(f"ttl {value!r} is over a century; for no expiry write 'never'")
    return int(seconds * 1000)


def parse_size(value: int | str | None) -> int | None:
    """Bytes of a number or of a text such as "65536", "64KiB", "1MiB"; None for None and "none".

    Raises:
        InvalidArgumentError: it is neither, or not above zero.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() == "none"):
        return None
    if isinstance(value, str):
        match = _SIZE.match(value.strip())
        if match is None:
            raise InvalidArgumentError(
                f"size {shorten(value)!r} is not a size; write bytes, or 64KiB, 1MiB"
            )
        value = int(float(match[1]) * _BYTES[match[2] or "B"])
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise InvalidArgumentError(f"a size must be a whole number of bytes above zero, not {value!r}")
    return value


def parse_bool(value: bool | str) -> bool:
    """A bool, or one of the texts true/false, 1/0, yes/no, on/off.

    Raises:
        InvalidArgumentError: it is neither.
    """
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in {"true", "1", "yes", "on"}:
        return True
    if text in {"false", "0", "no", "off"}:
        return False
    raise InvalidArgumentError(f"{shorten(text)!r} is neither true nor false")


def _parse_names(value: str | Iterable[str]) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    return tuple(name.strip() for name in names if name.strip())


def _parse_ttl_mode(value: str) -> Literal["sliding", "absolute"]:
    if value == "sliding":
        return "sliding"
    if value == "absolute":
        return "absolute"
    raise InvalidArgumentError(f"ttl_mode is 'sliding' or 'absolute', not {shorten(str(value))!r}")


def _parse_positive(value: TTL) -> float:
    seconds = parse_duration(value)
    if not seconds > 0:
        raise InvalidArgumentError(f"must be above zero seconds, not {value!r}")
    return seconds


def _parse_url(value: str | StoreURL) -> StoreURL:
    return value if isinstance(value, StoreURL) else StoreURL.parse(value)


def _parse_grace(value: TTL) -> int:
    seconds = parse_duration(value, what="grace")
    if not 0 <= seconds * 1000 <= MAX_TTL_MS:
        raise InvalidArgumentError(f"must be zero seconds or more, and no century, not {value!r}")
    return int(seconds * 1000)


def _parse_namespace(value: str) -> str:
    return check_namespace(value) if value else ""


def _option(parse: Callable[[Any], Any], default: Any, help: str) -> Any:
    return field(default=default, metadata={"parse": parse, "help": help})


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """What a store is told, on every backend. `help_text` lists them."""

    serializer: Any = _option(lambda value: value, "msgpack", "chain of serializer and layers, as a+b+c")
    accept: tuple[str, ...] = _option(_parse_names, (), "other chains that may be read, comma separated")
    legacy: tuple[str, ...] = _option(
        _parse_names, (), "readers of values that other programs wrote: json, pickle-thread"
    )
    keys: str | None = _option(
        lambda value: str(value), None, "where keys are: env:NAME, file:/path or provider:name"
    )
    shred: bool = _option(parse_bool, False, "a data key a session, so that its deletion shreds it")
    ttl: int | None = _option(parse_ttl_ms, None, "of new sessions: 3600, 30m, 1h, 7d or never")
    ttl_mode: Literal["sliding", "absolute"] = _option(
        _parse_ttl_mode, "sliding", "sliding: commits renew it; absolute: counted from creation"
    )
    namespace: str = _option(_parse_namespace, "", "keeps stores in one place apart: A-Z a-z 0-9 _ -")
    max_session_size: int | None = _option(parse_size, None, "bytes a session may hold, such as 1MiB")
    max_message_size: int | None = _option(parse_size, None, "bytes a message may have, such as 64KiB")
    cache_max_size: int | None = _option(
        parse_size, 64 * 2**20, "bytes that may be cached, such as 64MiB; none for no limit"
    )
    cache_url: StoreURL | None = _option(_parse_url, None, "URL of another store, for what is cached")
    observe: tuple[str, ...] = _option(
        _parse_names, (), "who is told of operations: opentelemetry, prometheus, logs"
    )
    measure: bool = _option(parse_bool, False, "times of operations in stats()")
    analytics: bool = _option(parse_bool, False, "messages, turns and tokens a day and user, for usage()")
    deadline: float = _option(_parse_positive, 10.0, "seconds an operation may take, retries included")
    connect_timeout: float = _option(_parse_positive, 2.0, "seconds for the first connection")
    grace: int | None = _option(
        _parse_grace, None, "how long what expired is kept for a sweep to archive: 0, 10m, 1h"
    )


_OPTIONS = {each.name: each for each in fields(StoreOptions)}
# What belongs to connections, backends and plugins, and the name of a tenant.
_SHARED_BY_TENANTS = {"namespace", "connect_timeout", "observe", "grace", "cache_max_size", "cache_url"}


def read_options(
    query: Mapping[str, str], given: Mapping[str, Any], *, backend_options: Iterable[str], scheme: str
) -> tuple[StoreOptions, dict[str, Any]]:
    """Options of the store, and those of its backend, from a URL's query and keyword arguments.

    Keyword arguments win. None means not given.

    Raises:
        ConfigurationError: an option is unknown (says the nearest) or cannot be read.
    """
    known = {*_OPTIONS, *backend_options}
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in {**query, **{k: v for k, v in given.items() if v is not None}}.items():
        if name not in known:
            raise ConfigurationError(_unknown(name, sorted(known), scheme))
        if name not in _OPTIONS:
            extra[name] = value
        else:
            values[name] = _parsed(name, value)
    return StoreOptions(**values), extra


def read_tenant_options(parent: StoreOptions, given: Mapping[str, Any], *, scheme: str) -> StoreOptions:
    """The options of a store with others in their places, for a view of one of its tenants.

    Raises:
        ConfigurationError: an option is unknown, cannot be read, or is of the connections.
    """
    valid = sorted(set(_OPTIONS) - _SHARED_BY_TENANTS)
    for name in given:
        if name in _SHARED_BY_TENANTS:
            raise ConfigurationError(f"option {name!r} is the same for a store and its tenants")
        if name not in _OPTIONS:
            raise ConfigurationError(_unknown(name, valid, f"a tenant of {scheme}"))
    values = {name: _parsed(name, value) for name, value in given.items() if value is not None}
    return replace(parent, **values)


def _parsed(name: str, value: Any) -> Any:
    problem = ""
    try:
        return _OPTIONS[name].metadata["parse"](value)
    except InvalidArgumentError as error:
        problem = str(error)
    raise ConfigurationError(f"option {name!r}: {problem}")


def nearest(name: str, valid: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` if something valid is close to `name`, else nothing."""
    match = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.6)
    return f"; did you mean {match[0]!r}?" if match else ""


def _unknown(name: str, valid: list[str], scheme: str) -> str:
    return (
        f"unknown option {shorten(name)!r} for {scheme}://{nearest(name, valid)} "
        f"(valid: {', '.join(valid)})"
    )


def help_text() -> list[tuple[str, str]]:
    """Names and meanings of the options of every store."""
    return [(name, each.metadata["help"]) for name, each in _OPTIONS.items()]
