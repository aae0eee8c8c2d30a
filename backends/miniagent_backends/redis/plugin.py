"""Registers the schemes of Redis and Valkey."""

from __future__ import annotations

from collections.abc import Iterable

from miniagent_store.hookspecs import BackendFactory, hookimpl
from miniagent_store.provider import Provider
from miniagent_store.vector_index import IndexFactory

ONE = "one Redis or Valkey"
SENTINEL = "Redis or Valkey behind Sentinel"
CLUSTER = "a Redis or Valkey Cluster"
SCHEMES = {
    **dict.fromkeys(("redis", "rediss", "unix", "redis+unix", "valkey", "valkeys", "valkey+unix"), ONE),
    **dict.fromkeys(("redis+sentinel", "rediss+sentinel", "valkey+sentinel", "valkeys+sentinel"), SENTINEL),
    **dict.fromkeys(("redis+cluster", "rediss+cluster", "valkey+cluster", "valkeys+cluster"), CLUSTER),
}
OPTIONS = frozenset(
    {
        "db",
        "protocol",
        "replicas",
        "sentinel_username",
        "sentinel_password",
        "address_remap",
        "max_connections",
        "socket_timeout",
        "health_check_interval",
        "session_prefix",
        "thread_prefix",
        "cache_prefix",
        "lock_prefix",
        "ssl_ca_certs",
        "ssl_certfile",
        "ssl_keyfile",
        "ssl_check_hostname",
    }
)


def _load() -> BackendFactory:
    import hiredis  # noqa: F401 - named here, where what is missing is told
    import redis  # noqa: F401

    from miniagent_backends.redis.opening import open_redis

    return open_redis


def _load_vector_sets() -> IndexFactory:
    from miniagent_backends.redis.vector_sets import FACTORY

    return FACTORY


@hookimpl
def provide_vector_indexes() -> Iterable[Provider[IndexFactory]]:
    return [
        Provider(
            "vector-set",
            _load_vector_sets,
            summary="on a Redis that has vector sets",
            package="hiredis",
            extra="redis",
        )
    ]


@hookimpl
def provide_backends() -> Iterable[Provider[BackendFactory]]:
    return [
        Provider(
            scheme,
            _load,
            options=OPTIONS,
            summary=summary,
            package="redis",
            extra="redis",
        )
        for scheme, summary in SCHEMES.items()
    ]
