"""One server: from a URL to a backend."""

from __future__ import annotations

from typing import Any

from miniagent_backends.redis.backend import RedisBackend
from miniagent_backends.redis.node import Node
from miniagent_backends.redis.schema import Keys
from miniagent_backends.redis.tls import tls_options
from miniagent_store.backend import Backend, BackendOptions
from miniagent_store.errors import ConfigurationError, InvalidArgumentError
from miniagent_store.options import parse_duration
from miniagent_store.url import StoreURL

PREFIXES = ("session", "thread", "cache", "lock")
# What other keys of ours start with.
RESERVED = (
    *("agent:", "changes:", "count:", "events:", "ids:", "index:", "kind:", "kinds", "log:", "names:"),
    *("notify:", "owners:", "queue:", "rate:", "stage:", "state:", "tag:", "turn:", "user:"),
)


def open_redis(url: StoreURL, options: BackendOptions) -> Backend:
    """The factory of ``redis://``, ``rediss://`` and ``unix://``.

    Raises:
        ConfigurationError: the URL or an option cannot be used.
    """
    extra = dict(options.extra)
    target: dict[str, Any] = {
        "username": url.username,
        "password": url.password,
        "protocol": _number(extra, "protocol", 3),
    }
    if url.scheme.startswith("unix") or url.scheme.endswith("+unix"):
        if not url.path.strip("/"):
            raise ConfigurationError(f"{url} names no socket; write unix:///path/redis.sock?db=0")
        target |= {"path": url.path, "db": _number(extra, "db", 0)}
    else:
        if len(url.hosts) > 1:
            raise ConfigurationError(f"{url} names several servers; one is what {url.scheme}:// takes")
        host, port = url.hosts[0] if url.hosts else ("localhost", None)
        in_path = url.path.strip("/")
        if in_path and not in_path.isdecimal():
            raise ConfigurationError(f"{url}: the database is a number, as in {url.scheme}://host:6379/0")
        database = int(in_path) if in_path else _number(extra, "db", 0)
        target |= {"host": host or "localhost", "port": port or 6379, "db": database}
        if url.scheme in {"rediss", "valkeys"}:
            target["tls"] = tls_options(extra)
    node = Node(
        str(url.without_options()),
        target,
        timeout=_seconds(extra, "socket_timeout", 5.0),
        connect_timeout=options.connect_timeout,
        max_readers=max(_number(extra, "max_connections", 4), 1),
    )
    heartbeat = _seconds(extra, "health_check_interval", 10.0)
    return RedisBackend(node, _keys(options.namespace, extra), heartbeat=heartbeat)


def _keys(namespace: str, extra: dict[str, Any]) -> Keys:
    given = {name: str(extra[f"{name}_prefix"]) for name in PREFIXES if f"{name}_prefix" in extra}
    keys = Keys(namespace, **given)
    prefixes = {name: getattr(keys, name) for name in PREFIXES}
    for name, prefix in prefixes.items():
        if not prefix or "{" in prefix or "}" in prefix:
            raise ConfigurationError(f"option '{name}_prefix': a prefix is not empty and has no braces")
        others = [*RESERVED, *(other for key, other in prefixes.items() if key != name)]
        for other in others:
            if prefix.startswith(other) or other.startswith(prefix):
                raise ConfigurationError(
                    f"option '{name}_prefix': {prefix!r} and {other!r} would mix up keys of two sorts"
                )
    return keys


def _number(extra: dict[str, Any], name: str, default: int) -> int:
    text = str(extra.get(name, default))
    if not text.isdecimal():
        raise ConfigurationError(f"option {name!r} is a number, not {text!r}")
    return int(text)


def _seconds(extra: dict[str, Any], name: str, default: float) -> float:
    problem, seconds = "", 0.0
    try:
        seconds = parse_duration(extra.get(name, default), what=name)
    except InvalidArgumentError as error:
        problem = str(error)
    if problem or not seconds > 0:
        raise ConfigurationError(f"option {name!r}: {problem or 'must be above zero seconds'}")
    return seconds
