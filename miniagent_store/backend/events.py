"""What becomes of a backend's connections, told to hooks and the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ConnectionEventKind = Literal[
    "connected", "lost", "unreachable", "failover", "topology_changed", "redirected"
]


@dataclass(frozen=True, slots=True)
class ConnectionEvent:
    """Something that happened to a connection.

    Attributes:
        kind: "connected"; "lost": without our doing; "unreachable": a server could not be connected to,
            told once until it can be; "failover": another server is master now; "topology_changed":
            the shards of a cluster or their owners; "redirected": a slot is somewhere else.
        server: which server, without secrets.
        detail: in words.
    """

    kind: ConnectionEventKind
    server: str
    detail: str = ""
