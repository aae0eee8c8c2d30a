"""A cluster of real nodes, whose slots can be moved and whose masters can be killed.

    with ClusterGroup() as group:
        store = await open_store(group.url)
        group.owner(group.slot_of("a")).kill()
        ...                     # its replica takes over

They keep no data on disk: a master that is started again before it was replaced would come back empty.
"""

from __future__ import annotations

import binascii
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from miniagent_store.testing.cluster_nodes import (
    ANSWER_TIMEOUT,
    SLOTS,
    Node,
    missing_acquaintance,
    missing_agreement,
    nodes_known_to,
)
from miniagent_store.testing.servers import HOST, CommandError, ConfigValue, Server, ServerError
from miniagent_store.testing.startable import Startable
from miniagent_store.testing.waiting import wait_until

_MIGRATE_TIMEOUT_MS = 5000
# A node gives up a failover by hand after five seconds, without a word.
_FAILOVER_TIMEOUT = 6.0


class ClusterGroup(Startable):
    """Masters with their replicas, which share the slots evenly at first.

    Args:
        binary: the executable; None for the first of `find_servers`.
        masters: how many.
        replicas: of each master.
        node_timeout_ms: milliseconds without an answer after which a node is taken as down.
        password: of all nodes.
        config: further directives of all nodes.

    Attributes:
        servers: all nodes, those that begin as masters first.
    """

    def __init__(
        self,
        binary: Path | str | None = None,
        *,
        masters: int = 3,
        replicas: int = 1,
        node_timeout_ms: int = 1000,
        password: str | None = None,
        config: Mapping[str, ConfigValue] | None = None,
    ) -> None:
        self._binary = binary
        self._password = password
        self._config: dict[str, ConfigValue] = {
            "cluster-enabled": "yes",
            "cluster-node-timeout": node_timeout_ms,
            # A shard without its master leaves the others alone.
            "cluster-require-full-coverage": "no",
            # A master without slots would turn into a replica of another one.
            "cluster-allow-replica-migration": "no",
            "repl-diskless-sync-delay": 0,
            "repl-ping-replica-period": 1,
        }
        if password is not None:
            self._config["masterauth"] = password
        self._config |= config or {}
        self.servers: list[Server] = [self._new_server() for _ in range(masters * (replicas + 1))]
        self._first_masters = self.servers[:masters]

    @property
    def url(self) -> str:
        """What a client is given: ``redis+cluster://``, with all nodes that began as masters."""
        user = f":{quote(self._password, safe='')}@" if self._password else ""
        return (
            f"redis+cluster://{user}{','.join(f'{HOST}:{server.port}' for server in self._first_masters)}"
        )

    def start(self) -> None:
        """Start all, once; returns when the cluster is ready.

        Raises:
            ServerError: a server did not start.
            TimeoutError: the nodes did not agree.
        """
        for epoch, server in enumerate(self.servers, 1):
            server.start()
            server.command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        masters = self._first_masters
        for index, master in enumerate(masters):
            first, end = (SLOTS * place // len(masters) for place in (index, index + 1))
            master.command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            master.command("CLUSTER", "MEET", HOST, masters[0].port or 0)
        for server in self.servers[1:]:
            server.command("CLUSTER", "MEET", HOST, masters[0].port or 0)
        wait_until(lambda: missing_acquaintance(_running(self.servers)), 60.0)
        for index, replica in enumerate(self.servers[len(masters) :]):
            replica.command("CLUSTER", "REPLICATE", self.node_id(masters[index % len(masters)]))
        self.wait_until_ready()

    def stop(self) -> None:
        """End all nodes."""
        for server in self.servers:
            server.stop()

    @staticmethod
    def slot_of(key: str) -> int:
        """The slot of a key, by its hash tag if it has one."""
        tag = key.partition("{")[2].partition("}")
        hashed = tag[0] if tag[0] and tag[1] else key
        return binascii.crc_hqx(hashed.encode(), 0) % SLOTS

    def masters(self) -> list[Server]:
        """The masters that run and that no one takes as failed, with slots or without."""
        return [server for server, node in self._nodes() if node.is_master]

    def replicas_of(self, master: Server) -> list[Server]:
        """The replicas of a master that run and that no one takes as failed."""
        master_id = self.node_id(master)
        return [server for server, node in self._nodes() if node.master_id == master_id]

    def owner(self, slot: int) -> Server:
        """The master of a slot.

        Raises:
            ServerError: it is down.
        """
        for server, node in self._nodes():
            if node.is_master and slot in node.slots:
                return server
        raise ServerError(f"no master that is up has slot {slot}")

    def slots_of(self, master: Server) -> list[int]:
        """The slots of a master, in their order."""
        return sorted(next((node.slots for server, node in self._nodes() if server is master), ()))

    def node_id(self, server: Server) -> str:
        """What the cluster calls a node, which may be down."""
        for node in self._view():
            if node.port == server.port:
                return node.id
        raise ServerError(f"the cluster does not know {server}")

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Until all nodes that run agree on who has which slot, and every replica has its link.

        Args:
            timeout: seconds.

        Raises:
            TimeoutError: they do not; its message says what is missing.
        """
        wait_until(lambda: _tried(lambda: missing_agreement(_running(self.servers))), timeout)

    def fail_over(self, master: Server, timeout: float = 60.0) -> Server:
        """Let a replica take the place of its master, which agrees.

        Args:
            master: which runs, and has a replica.
            timeout: seconds.

        Returns:
            The replica, which is the master now.

        Raises:
            ServerError: it has no replica that is up.
            TimeoutError: it did not happen.
        """
        replicas = self.replicas_of(master)
        if not replicas:
            raise ServerError(f"{master} has no replica that is up")
        replica = replicas[0]
        until = time.monotonic() + timeout

        def lacks() -> str | None:
            return (
                None
                if replica.command("ROLE", timeout=ANSWER_TIMEOUT)[0] == b"master"
                else f"{replica} is not the master"
            )

        while True:
            replica.command("CLUSTER", "FAILOVER")
            left = until - time.monotonic()
            try:
                wait_until(lacks, min(_FAILOVER_TIMEOUT, left))
                return replica
            except TimeoutError:
                if left < _FAILOVER_TIMEOUT:
                    raise

    def migrate(self, slots: Iterable[int], source: Server, target: Server, *, batch: int = 10) -> None:
        """Move slots with their keys, one after the other, while clients go on.

        Args:
            slots: of the source.
            source: a master.
            target: another one.
            batch: how many keys go together.
        """
        source_id, target_id = self.node_id(source), self.node_id(target)
        others = [master for master in self.masters() if master not in (source, target)]
        for slot in slots:
            _retried(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
            _retried(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
            while keys := source.command("CLUSTER", "GETKEYSINSLOT", slot, batch):
                self._move(keys, source, target)
            # The target first: were it the source, no one would have the slot in between.
            for master in (target, source, *others):
                _retried(master, "CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def add_node(self, *, replica_of: Server | None = None) -> Server:
        """Start one more node; returns when all know it.

        Args:
            replica_of: its master; None for a new master without slots.
        """
        server = self._new_server()
        known = _running(self.servers)[0]
        self.servers.append(server)
        server.start()
        server.command("CLUSTER", "MEET", HOST, known.port or 0)
        wait_until(lambda: missing_acquaintance(_running(self.servers)), 60.0)
        if replica_of is not None:
            server.command("CLUSTER", "REPLICATE", self.node_id(replica_of))
        self.wait_until_ready()
        return server

    def forget(self, server: Server) -> None:
        """End a node for ever: one without slots, a replica before its master.

        Args:
            server: it is no longer among `servers`.
        """
        node_id = self.node_id(server)
        self.servers.remove(server)
        server.stop()
        for other in _running(self.servers):
            # Nodes tell each other whom they were to forget.
            with _ignored("ERR Unknown node"):
                other.command("CLUSTER", "FORGET", node_id)
        self.wait_until_ready()

    def _new_server(self) -> Server:
        return Server(self._binary, password=self._password, config=self._config)

    def _move(self, keys: list[bytes], source: Server, target: Server) -> None:
        auth = ("AUTH", self._password) if self._password is not None else ()
        address = (HOST, target.port or 0, "", 0, _MIGRATE_TIMEOUT_MS)
        try:
            source.command("MIGRATE", *address, *auth, "KEYS", *keys)
        except CommandError as error:
            if not str(error).startswith(("IOERR", "TRYAGAIN")):
                raise
            # The target may have got them; what the source has is what holds, until it has it no more.
            _retried(source, "MIGRATE", *address, "REPLACE", *auth, "KEYS", *keys)

    def _view(self) -> list[Node]:
        """The nodes as the first one that answers knows them."""
        for server in _running(self.servers):
            with contextlib.suppress(OSError, CommandError):
                return nodes_known_to(server)
        raise ServerError("no node answers")

    def _nodes(self) -> list[tuple[Server, Node]]:
        """The nodes that run and that are not taken as failed."""
        by_port = {node.port: node for node in self._view() if not node.has_failed}
        return [
            (server, by_port[server.port]) for server in _running(self.servers) if server.port in by_port
        ]


def _running(servers: Iterable[Server]) -> list[Server]:
    return [server for server in servers if server.running]


def _tried(lacks: Callable[[], str | None]) -> str | None:
    try:
        return lacks()
    except (ServerError, CommandError, OSError) as error:
        return f"{type(error).__name__}: {error}"


@contextlib.contextmanager
def _ignored(message: str) -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        if not str(error).startswith(message):
            raise


def _retried(server: Server, *command: bytes | str | int) -> None:
    """Send it until the server is ready for it."""

    def lacks() -> str | None:
        try:
            server.command(*command)
        except CommandError as error:
            if not str(error).startswith(("IOERR", "TRYAGAIN", "NOREPLICAS")):
                raise
            return str(error)
        return None

    wait_until(lacks, 30.0)
