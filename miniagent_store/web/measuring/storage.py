"""What a health tells of memory and files, in numbers; backends tell what they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from miniagent_store.values import Health


@dataclass(frozen=True, slots=True)
class Server:
    """One server.

    Attributes:
        name: its address.
        used, limit: bytes of memory; a limit of 0 is none.
        commands: a second, of all its clients.
        hits, misses: keys that were looked for since it was started, of whatever kind.
        clients: connections.
    """

    name: str
    used: int
    limit: int
    commands: int
    hits: int
    misses: int
    clients: int

    @property
    def found(self) -> float | None:
        """The share of keys that were there; None where none was looked for."""
        looked_for = self.hits + self.misses
        return self.hits / looked_for if looked_for else None


def servers(health: Health | None) -> list[Server]:
    """The servers of a store, where it has any and they may be asked."""
    told = health.details.get("servers", {}) if health else {}
    return [
        Server(
            name,
            each.get("used_memory", 0),
            each.get("maxmemory", 0),
            each.get("commands_per_second", 0),
            each.get("hits", 0),
            each.get("misses", 0),
            each.get("clients", 0),
        )
        for name, each in told.items()
    ]


def files(health: Health | None) -> dict[str, int]:
    """Bytes by what they are, of a store in files."""
    details: Mapping[str, Any] = health.details if health else {}
    names = (("size", "database"), ("wal_size", "write-ahead log"), ("free", "free on its disk"))
    return {name: int(details[key]) for key, name in names if key in details}


def bytes_used(health: Health | None) -> int | None:
    """Memory of all servers, or the size of all files; None where nothing is told of either."""
    if of_servers := servers(health):
        return sum(each.used for each in of_servers)
    of_files = files(health)
    of_files.pop("free on its disk", None)
    return sum(of_files.values()) if of_files else None


def leases(health: Health | None) -> dict[str, int]:
    """Turns and locks: "waited_for" and "waiting", and "held" where the backend can tell; or nothing."""
    told: dict[str, int] = health.details.get("locks", {}) if health else {}
    return told
