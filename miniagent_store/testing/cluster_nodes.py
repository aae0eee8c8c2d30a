"""What the nodes of a cluster know of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from miniagent_store.testing.servers import Server, replicas_fed

SLOTS = 16_384
ANSWER_TIMEOUT = 1.0


@dataclass(frozen=True, slots=True)
class Node:
    """A line of ``CLUSTER NODES``.

    Attributes:
        id: what the cluster calls the node.
        port: where clients reach it.
        flags: such as "master", "myself", "fail?".
        master_id: of a replica; None for a master.
        slots: that it owns.
    """

    id: str
    port: int
    flags: frozenset[str]
    master_id: str | None
    slots: frozenset[int]

    @property
    def is_myself(self) -> bool:
        """Whether it is the node that told this."""
        return "myself" in self.flags

    @property
    def is_master(self) -> bool:
        """Whether it is a master, with slots or without."""
        return "master" in self.flags

    @property
    def is_known(self) -> bool:
        """Whether the node that told this has met it."""
        return not self.flags & {"handshake", "noaddr"}

    @property
    def has_failed(self) -> bool:
        """Whether the node that told this takes it as failed, or may do so soon."""
        return bool(self.flags & {"fail", "fail?"})


def nodes_known_to(server: Server) -> list[Node]:
    """What a node knows, itself included.

    Raises:
        OSError: it does not answer within a second.
    """
    lines = server.command("CLUSTER", "NODES", timeout=ANSWER_TIMEOUT).decode().splitlines()
    return [_parsed(line) for line in lines]


def missing_acquaintance(servers: Sequence[Server]) -> str | None:
    """Which of these nodes has not met which; None if they all know each other."""
    ports = {server.port for server in servers}
    for server in servers:
        if missing := ports - {node.port for node in nodes_known_to(server) if node.is_known}:
            return f"{server} does not know the nodes on {missing}"
    return None


def missing_agreement(servers: Sequence[Server]) -> str | None:
    """What these nodes, all that run, do not agree on or have not got; None if the cluster is sound."""
    ports = {server.port for server in servers}
    views = {server: nodes_known_to(server) for server in servers}
    for server, view in views.items():
        state = _info(server, "CLUSTER", "INFO")
        if (state["cluster_state"], state["cluster_slots_ok"]) != ("ok", str(SLOTS)):
            return f"{server} says {state['cluster_state']}, and {state['cluster_slots_ok']} slots are ok"
        if missing := ports - {node.port for node in view if node.is_known and not node.has_failed}:
            return f"{server} does not reach the nodes on {missing}"
        myself = next(node for node in view if node.is_myself)
        link = _info(server, "INFO", "replication")
        if myself.master_id is not None and link.get("master_link_status") != "up":
            return f"{server} has no link to its master"
        fed = {int(row["port"]) for row in replicas_fed(link)}
        if unfed := {node.port for node in view if node.master_id == myself.id} & ports - fed:
            return f"{server} does not feed its replicas on {unfed}"
    owners = [{node.port: node.slots for node in view if node.slots} for view in views.values()]
    masters = [
        {node.port: node.master_id for node in view if node.port in ports} for view in views.values()
    ]
    if any(each != owners[0] for each in owners) or any(each != masters[0] for each in masters):
        return "the nodes do not agree on the slots or the masters"
    return None


def _parsed(line: str) -> Node:
    node_id, address, flags, master_id, _, _, _, _, *ranges = line.split(" ")
    slots: set[int] = set()
    for each in ranges:
        # "[7-<-…]" is a slot that is being moved.
        if not each.startswith("["):
            first, _, last = each.partition("-")
            slots.update(range(int(first), int(last or first) + 1))
    port = int(address.partition("@")[0].rpartition(":")[2])
    flag_set = frozenset(flags.split(","))
    return Node(node_id, port, flag_set, None if master_id == "-" else master_id, frozenset(slots))


def _info(server: Server, *command: str) -> dict[str, str]:
    lines = server.command(*command, timeout=ANSWER_TIMEOUT).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
