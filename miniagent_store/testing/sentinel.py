"""A master, its replicas and the sentinels that watch them, as real processes.

    with SentinelGroup() as group:
        store = await open_store(group.url)
        group.master().kill()
        ...                     # the sentinels promote a replica

They keep no data on disk: a master that is started again before it was replaced would come back empty.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from miniagent_store.testing.proxy import Action, Proxy
from miniagent_store.testing.servers import (
    HOST,
    CommandError,
    ConfigValue,
    Server,
    ServerError,
    replicas_fed,
)
from miniagent_store.testing.startable import Startable
from miniagent_store.testing.waiting import wait_until

_ANSWER_TIMEOUT = 1.0
_FAILOVER_TIMEOUT_MS = 5000
# Shorter than their own, so that they find replicas, and make one of a returned master, sooner.
_SENTINEL_PERIODS_MS = {"info-period": 1000, "publish-period": 500}
_UNREACHABLE = ("s_down", "o_down", "disconnected")


class SentinelGroup(Startable):
    """One master and its replicas, under sentinels of their own.

    Args:
        binary: the executable; None for the first of `find_servers`.
        replicas: how many.
        sentinels: how many; most of them must agree that a master is down.
        down_after_ms: milliseconds without an answer after which a sentinel takes a server as down.
        password: of the data nodes.
        sentinel_password: of the sentinels.
        config: further directives of the data nodes.

    Attributes:
        name: what the sentinels call the master.
        servers: the data nodes; the first one begins as the master.
        sentinels: once it is started.
    """

    name = "mymaster"

    def __init__(
        self,
        binary: Path | str | None = None,
        *,
        replicas: int = 2,
        sentinels: int = 3,
        down_after_ms: int = 1000,
        password: str | None = None,
        sentinel_password: str | None = None,
        config: Mapping[str, ConfigValue] | None = None,
    ) -> None:
        directives: dict[str, ConfigValue] = {"repl-diskless-sync-delay": 0, "repl-ping-replica-period": 1}
        if password is not None:
            directives["masterauth"] = password
        directives |= config or {}
        self.servers: list[Server] = [
            Server(binary, password=password, config=directives) for _ in range(replicas + 1)
        ]
        self.sentinels: list[Server] = []
        self._binary = binary
        self._sentinel_count = sentinels
        self._down_after_ms = down_after_ms
        self._password = password
        self._sentinel_password = sentinel_password

    @property
    def url(self) -> str:
        """What a client is given: ``redis+sentinel://``, with all sentinels."""
        user = f":{quote(self._password, safe='')}@" if self._password else ""
        hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        options = ""
        if self._sentinel_password:
            options = f"?sentinel_password={quote(self._sentinel_password, safe='')}"
        return f"redis+sentinel://{user}{hosts}/{self.name}/0{options}"

    def start(self) -> None:
        """Start all, once; returns when they are ready.

        Raises:
            ServerError: a server did not start.
            TimeoutError: they did not find each other.
        """
        for server in self.servers:
            server.start()
        for replica in self.servers[1:]:
            _follow(replica, self.servers[0].port)
        # A sentinel learns of the replicas when it first asks the master.
        wait_until(lambda: self._replication_lacks(self.servers[0]), 60.0)
        self.sentinels = [self._new_sentinel() for _ in range(self._sentinel_count)]
        for sentinel in self.sentinels:
            sentinel.start()
            for period, ms in _SENTINEL_PERIODS_MS.items():
                sentinel.command("SENTINEL", "DEBUG", period, ms)
        self.wait_until_ready()

    def stop(self) -> None:
        """End all, the sentinels first."""
        for server in [*self.sentinels, *self.servers]:
            server.stop()

    def master(self) -> Server:
        """The server that the sentinels name and that takes itself for the master, too.

        Raises:
            ServerError: there is none at the moment.
        """
        named: Counter[int] = Counter()
        for sentinel in self.sentinels:
            with contextlib.suppress(OSError, CommandError):
                address = _ask(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)
                named[int(address[1])] += 1
        for server in self.servers:
            # During a failover some already name the next one.
            if named[server.port or 0] > len(self.sentinels) // 2:
                with contextlib.suppress(OSError, CommandError):
                    if _ask(server, "ROLE")[0] == b"master":
                        return server
        raise ServerError(f"the sentinels have no master at the moment; they name {dict(named)}")

    def replicas(self) -> list[Server]:
        """The servers that run and are not the master.

        Raises:
            ServerError: there is no master at the moment.
        """
        master = self.master()
        return [server for server in self.servers if server is not master and server.running]

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Until the servers that run replicate from one master, and all sentinels that run know them.

        Args:
            timeout: seconds.

        Raises:
            TimeoutError: they do not; its message says what is missing.
        """
        wait_until(self._lacks, timeout)

    def fail_over(self, timeout: float = 60.0) -> Server:
        """Let the sentinels promote a replica, though nothing is wrong with the master.

        Args:
            timeout: seconds.

        Returns:
            The new master.

        Raises:
            TimeoutError: they did not.
        """
        before = self.master()
        until = time.monotonic() + timeout

        def lacks() -> str | None:
            try:
                return None if self.master() is not before else f"{before} is still the master"
            except ServerError as error:
                return str(error)

        while True:
            left = until - time.monotonic()
            try:
                next(filter(_runs, self.sentinels)).command("SENTINEL", "FAILOVER", self.name)
                # One that takes longer than its time-out is given up by the sentinels, without a word.
                wait_until(lacks, min(left, 2 * _FAILOVER_TIMEOUT_MS / 1000))
                return self.master()
            except TimeoutError:
                if time.monotonic() > until:
                    raise
            except CommandError as error:
                # One is going on, or no replica is known to be fit yet.
                if not str(error).startswith(("INPROG", "NOGOODSLAVE")) or left < 0:
                    raise
                time.sleep(0.1)

    @contextlib.contextmanager
    def stall_replication(self) -> Iterator[None]:
        """Within it nothing comes from the master to the replicas, while their links stay up.

        The sentinels leave this alone for some seconds, then they link the replicas to the master again.
        """
        with self.stallable_replication() as stall:
            stall()
            yield

    @contextlib.contextmanager
    def stallable_replication(
        self, replicas: Sequence[Server] | None = None
    ) -> Iterator[Callable[[], None]]:
        """Within it the replicas follow the master through proxies, as `stall_replication`.

        Args:
            replicas: which of them; None for all.

        Returns:
            A function that stalls the links, for ever.
        """
        master = self.master()
        with contextlib.ExitStack() as stack:
            proxies = {
                replica: stack.enter_context(Proxy(HOST, master.port or 0))
                for replica in (self.replicas() if replicas is None else replicas)
            }
            for replica, proxy in proxies.items():
                _follow(replica, proxy.port)
            wait_until(
                lambda: _first(_link_lacks(replica, proxy.port) for replica, proxy in proxies.items()), 30.0
            )

            def stall() -> None:
                for proxy in proxies.values():
                    proxy.inject(Action.BLACK_HOLE, on="reply", times=None)

            try:
                yield stall
            finally:
                # Were the master down, a replica could be promoted at this moment.
                if _is_master(master):
                    for replica, proxy in proxies.items():
                        if replica.running and _link(replica).get("master_port") == str(proxy.port):
                            _follow(replica, master.port)

    def _new_sentinel(self) -> Server:
        config: dict[str, ConfigValue] = {
            "sentinel resolve-hostnames": "no",
            "sentinel monitor": [
                self.name,
                HOST,
                str(self.servers[0].port),
                str(self._sentinel_count // 2 + 1),
            ],
            f"sentinel down-after-milliseconds {self.name}": self._down_after_ms,
            f"sentinel failover-timeout {self.name}": _FAILOVER_TIMEOUT_MS,
            f"sentinel parallel-syncs {self.name}": len(self.servers),
        }
        if self._password is not None:
            config[f"sentinel auth-pass {self.name}"] = self._password
        return Server(self._binary, sentinel=True, password=self._sentinel_password, config=config)

    def _lacks(self) -> str | None:
        try:
            master = self.master()
            return self._replication_lacks(master) or self._sentinels_lack(master)
        except (ServerError, CommandError, OSError) as error:
            return f"{type(error).__name__}: {error}"

    def _replication_lacks(self, master: Server) -> str | None:
        replicas = [server for server in self.servers if server is not master and server.running]
        fed = replicas_fed(_link(master))
        if len(fed) < len(replicas):
            return f"{master} feeds {len(fed)} of {len(replicas)} replicas"
        return _first(_link_lacks(replica, master.port) for replica in replicas)

    def _sentinels_lack(self, master: Server) -> str | None:
        replicas = {server.port for server in self.servers if server is not master and server.running}
        running = {sentinel.port for sentinel in self.sentinels if sentinel.running}
        for sentinel in filter(_runs, self.sentinels):
            if missing := replicas - self._reachable(sentinel, "REPLICAS"):
                return f"{sentinel} does not reach the replicas on {missing}"
            if missing := running - self._reachable(sentinel, "SENTINELS") - {sentinel.port}:
                return f"{sentinel} does not reach the sentinels on {missing}"
        return None

    def _reachable(self, sentinel: Server, kind: str) -> set[int | None]:
        """The ports that the sentinel takes as up."""
        rows = [
            dict(zip(row[::2], row[1::2], strict=True))
            for row in _ask(sentinel, "SENTINEL", kind, self.name)
        ]
        return {
            int(row[b"port"])
            for row in rows
            if not any(flag in row[b"flags"].decode().split(",") for flag in _UNREACHABLE)
        }


def _ask(server: Server, *command: bytes | str | int) -> Any:
    return server.command(*command, timeout=_ANSWER_TIMEOUT)


def _runs(server: Server) -> bool:
    return server.running


def _first(problems: Iterator[str | None]) -> str | None:
    return next(filter(None, problems), None)


def _is_master(server: Server) -> bool:
    with contextlib.suppress(OSError, CommandError):
        return bool(_ask(server, "ROLE")[0] == b"master")
    return False


def _follow(replica: Server, port: int | None) -> None:
    replica.command("REPLICAOF", HOST, port or 0)


def _link(server: Server) -> dict[str, str]:
    lines = _ask(server, "INFO", "replication").decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _link_lacks(replica: Server, port: int | None) -> str | None:
    link = _link(replica)
    if (link.get("master_port"), link.get("master_link_status")) != (str(port), "up"):
        return f"{replica} has no link to port {port}"
    return None
