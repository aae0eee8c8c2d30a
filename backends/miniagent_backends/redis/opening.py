"""From a URL and its options to a backend over one server, Sentinel or Cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from miniagent_backends.redis.backend import RedisBackend
from miniagent_backends.redis.keys import KEY_PREFIXES, Keys
from miniagent_backends.redis.rights import Rights
from miniagent_backends.redis.routing.addresses import Address, parse_remap, render
from miniagent_backends.redis.routing.cluster import Cluster
from miniagent_backends.redis.routing.executor import Executor
from miniagent_backends.redis.routing.sentinel import Sentinel
from miniagent_backends.redis.routing.standalone import Standalone
from miniagent_backends.redis.routing.topology import Topology
from miniagent_backends.redis.wire.clock import ServerClock
from miniagent_backends.redis.wire.events import Events
from miniagent_backends.redis.wire.node import Node
from miniagent_backends.redis.wire.tls import tls_options
from miniagent_store.backend import Backend, BackendOptions
from miniagent_store.errors import ConfigurationError, InvalidArgumentError
from miniagent_store.options import parse_duration
from miniagent_store.url import StoreURL

PREFIXES = ("session", "thread", "cache", "lock")
# What no prefix may be mixed up with.
RESERVED = (*KEY_PREFIXES, "notify:", "queue:")


def open_redis(url: StoreURL, options: BackendOptions) -> Backend:
    """The factory of ``redis://``, ``rediss://``, ``unix://``, and of Sentinel and Cluster.

    Raises:
        ConfigurationError: the URL or an option cannot be used.
    """
    return _Opening(url, options).backend()


class _Opening:
    """What a URL and its options say, and what is made of it."""

    def __init__(self, url: StoreURL, options: BackendOptions) -> None:
        self._url, self._options, self._extra = url, options, dict(options.extra)
        _, _, kind = url.scheme.partition("+")
        self._kind = "unix" if url.scheme.startswith("unix") else kind or "standalone"
        self._is_secure = url.scheme.partition("+")[0] in {"rediss", "valkeys"}
        self._clock, self._events = ServerClock(), Events()
        self._has_database = False
        self._common: dict[str, Any] = {
            "username": url.username,
            "password": url.password,
            "protocol": _number(self._extra, "protocol", 3),
        }
        if self._is_secure:
            self._common["tls"] = tls_options(self._extra)

    def backend(self) -> Backend:
        replicas = self._replicas()
        make = {"unix": self._unix, "sentinel": self._sentinel, "cluster": self._cluster}
        topology = make.get(self._kind, self._standalone)(replicas)
        heartbeat = _seconds(self._extra, "health_check_interval", 10.0)
        keys = _keys(self._options.namespace, self._extra)
        rights = Rights(
            keys,
            user=self._url.username or "default",
            cluster=self._kind == "cluster",
            replicas=replicas != 0,
            database=self._has_database,
        )
        executor = Executor(
            topology,
            rights,
            clock=self._clock,
            events=self._events,
            durable=replicas != 0,
            counts_replicas=replicas is None,
            heartbeat=heartbeat,
        )
        return RedisBackend(
            executor,
            keys,
            heartbeat=heartbeat,
            cache_max_size=self._options.cache_max_size,
            grace_ms=self._options.grace_ms,
        )

    def _replicas(self) -> int | None:
        """How many are to acknowledge; None for all that are reachable."""
        text = str(self._extra.get("replicas", 0))
        if text == "all":
            if self._kind in {"unix", "standalone"}:
                raise ConfigurationError(
                    "option 'replicas': only Sentinel and Cluster know which replicas are reachable; "
                    "give their number for one server, as replicas=2"
                )
            return None
        if not text.isdecimal():
            raise ConfigurationError(f"option 'replicas' is a number or 'all', not {text!r}")
        return int(text)

    def _unix(self, replicas: int | None) -> Topology:
        if not self._url.path.strip("/"):
            raise ConfigurationError(f"{self._url} names no socket; write unix:///path/redis.sock?db=0")
        return self._one({"path": self._url.path, "db": self._database("", "")}, replicas)

    def _standalone(self, replicas: int | None) -> Topology:
        url = self._url
        if len(url.hosts) > 1:
            raise ConfigurationError(
                f"{url} names several servers; one is what {url.scheme}:// takes; write "
                f"{url.scheme}+sentinel:// or {url.scheme}+cluster:// if that is what they are"
            )
        host, port = url.hosts[0] if url.hosts else ("localhost", None)
        database = self._database(url.path.strip("/"), "host:6379/0")
        return self._one({"host": host or "localhost", "port": port or 6379, "db": database}, replicas)

    def _one(self, place: dict[str, Any], replicas: int | None) -> Topology:
        assert replicas is not None
        node = self._node(
            str(self._url.without_options()), {**self._common, **place}, replicas=lambda _: replicas
        )
        return Standalone(node, replicas)

    def _sentinel(self, replicas: int | None) -> Topology:
        url = self._url
        service, _, database = url.path.strip("/").partition("/")
        if not service:
            raise ConfigurationError(
                f"{url} names no master; write {url.scheme}://host:26379/mymaster/0, with the name that "
                "SENTINEL MASTERS shows"
            )
        number = self._database(database, "host:26379/mymaster/0")
        credentials = {
            "username": self._extra.get("sentinel_username"),
            "password": self._extra.get("sentinel_password"),
        }

        def make_sentinel(address: Address) -> Node:
            target = {**self._common, **credentials, "host": address[0], "port": address[1]}
            return self._node(f"the sentinel at {render(address)}", target, brief=True)

        def make_node(address: Address) -> Node:
            return self._at(address, lambda node: topology.replicas_wanted(node), db=number)

        topology = Sentinel(
            service,
            self._addresses(26379),
            make_sentinel=make_sentinel,
            make_node=make_node,
            remap=parse_remap(self._extra.get("address_remap")),
            replicas=replicas,
            events=self._events,
        )
        return topology

    def _cluster(self, replicas: int | None) -> Topology:
        if self._database(self._url.path.strip("/"), "host:7000") != 0:
            raise ConfigurationError(f"{self._url}: a Cluster has one database only, 0")

        def make_node(address: Address) -> Node:
            return self._at(address, lambda node: topology.replicas_wanted(node))

        topology = Cluster(
            self._addresses(6379),
            make_node=make_node,
            remap=parse_remap(self._extra.get("address_remap")),
            replicas=replicas,
            events=self._events,
        )
        return topology

    def _addresses(self, default_port: int) -> list[Address]:
        hosts = self._url.hosts or (("localhost", None),)
        return [(host or "localhost", port or default_port) for host, port in hosts]

    def _at(self, address: Address, replicas: Callable[[Node], int], **place: Any) -> Node:
        target = {**self._common, "host": address[0], "port": address[1], **place}
        return self._node(render(address), target, replicas=replicas)

    def _node(
        self,
        name: str,
        target: dict[str, Any],
        *,
        replicas: Callable[[Node], int] = lambda node: 0,
        brief: bool = False,
    ) -> Node:
        return Node(
            name,
            target,
            timeout=_seconds(self._extra, "socket_timeout", 5.0),
            connect_timeout=self._options.connect_timeout,
            max_readers=1 if brief else max(_number(self._extra, "max_connections", 4), 1),
            clock=None if brief else self._clock,
            events=self._events,
            replicas=replicas,
        )

    def _database(self, in_path: str, example: str) -> int:
        if in_path and not in_path.isdecimal():
            raise ConfigurationError(
                f"{self._url}: the database is a number, as in {self._url.scheme}://{example}"
            )
        number = int(in_path) if in_path else _number(self._extra, "db", 0)
        self._has_database = number != 0
        return number


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
