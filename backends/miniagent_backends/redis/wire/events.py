"""Events of connections: to whoever listens, and to the log."""

from __future__ import annotations

import logging
from collections.abc import Callable

from miniagent_store.backend import ConnectionEvent, ConnectionEventKind

logger: logging.Logger = logging.getLogger("miniagent_store.redis")
# Else Python prints warnings of a program that has not asked for any log.
logger.addHandler(logging.NullHandler())
_LEVELS: dict[ConnectionEventKind, int] = {
    "connected": logging.DEBUG,
    "lost": logging.WARNING,
    "unreachable": logging.WARNING,
    "failover": logging.WARNING,
    "topology_changed": logging.INFO,
    "redirected": logging.DEBUG,
}


class Events:
    """Where the parts of a backend tell what happens.

    Attributes:
        listener: called with each event; set by the backend.
    """

    def __init__(self) -> None:
        self.listener: Callable[[ConnectionEvent], None] = lambda event: None

    def tell(self, kind: ConnectionEventKind, server: str, detail: str = "") -> None:
        """Log an event, with its fields as the record's `event` and `server`, and pass it on."""
        logger.log(
            _LEVELS[kind],
            "%s: %s%s",
            server,
            kind.replace("_", " "),
            f" ({detail})" if detail else "",
            extra={"event": kind, "server": server, "detail": detail},
        )
        self.listener(ConnectionEvent(kind, server, detail))
