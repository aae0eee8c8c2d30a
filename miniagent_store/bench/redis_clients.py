"""Clients of redis-py for hand-written code, from the URL of a store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from miniagent_store.errors import MissingExtraError
from miniagent_store.options import parse_bool
from miniagent_store.url import StoreURL

CONNECTIONS = 64
_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def connect(url: StoreURL) -> Any:
    """A client with at most 64 connections, that asks nothing again; no I/O.

    Raises:
        MissingExtraError: redis-py is not installed.
    """
    try:
        from redis.asyncio import Redis
        from redis.asyncio.cluster import ClusterNode, RedisCluster
        from redis.asyncio.retry import Retry
        from redis.asyncio.sentinel import Sentinel
        from redis.backoff import NoBackoff
    except ModuleNotFoundError:
        raise MissingExtraError("hand-written code on Redis", package="redis", extra="redis") from None
    base, _, topology = url.scheme.replace("valkey", "redis").partition("+")
    options: dict[str, Any] = {
        "max_connections": CONNECTIONS,
        "protocol": 3,
        **{name: url.options[name] for name in _TLS if name in url.options},
    }
    if "ssl_check_hostname" in url.options:
        options["ssl_check_hostname"] = parse_bool(url.options["ssl_check_hostname"])
    once: Any = Retry(NoBackoff(), 0)
    secrets: dict[str, Any] = {"username": url.username, "password": url.password}
    hosts = [(host, port or (26379 if topology == "sentinel" else 6379)) for host, port in url.hosts]
    if topology == "cluster":
        nodes = [ClusterNode(host, port) for host, port in hosts]
        return RedisCluster(startup_nodes=nodes, ssl=base == "rediss", **secrets, **options)
    if topology == "sentinel":
        service, _, database = url.path.strip("/").partition("/")
        watch = Sentinel(  # type: ignore[no-untyped-call]
            hosts,
            sentinel_kwargs={
                "username": url.options.get("sentinel_username"),
                "password": url.options.get("sentinel_password"),
            },
            ssl=base == "rediss",
            retry=once,
            **secrets,
            **options,
        )
        return watch.master_for(service, db=int(database or 0))
    location = replace(url, scheme="unix" if topology == "unix" or base == "unix" else base, query=())
    if "db" in url.options:
        location = location.with_options(db=url.options["db"])
    return Redis.from_url(location.render(), retry=once, **options)
