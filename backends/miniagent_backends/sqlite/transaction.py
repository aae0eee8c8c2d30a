"""A transaction, as what runs inside it sees it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from miniagent_backends.sqlite.counts import Difference, Nothing, difference, save_counts
from miniagent_backends.sqlite.known import KnownSessions
from miniagent_backends.sqlite.watching import Wake
from miniagent_backends.sqlite.windows import Windows
from miniagent_store.backend import Record


def now_ms() -> int:
    """The clock of the machine, which all processes on the file share."""
    return time.time_ns() // 1_000_000


class Transaction:
    """One transaction on a connection, for one namespace at a time.

    Attributes:
        execute, executemany: of the connection.
        namespace: of the store, or of the tenant whose job is done.
        windows: what the connection remembers of them.
        known: sessions that need not be read; None where all are.
        woken: what is to be told when it is committed.
        counted: what its jobs have changed of the counts.
    """

    __slots__ = (
        "_last_ticket",
        "_saved_ticket",
        "counted",
        "execute",
        "executemany",
        "known",
        "namespace",
        "windows",
        "woken",
    )
    namespace: str
    windows: Windows
    known: KnownSessions | None

    def __init__(
        self,
        connection: sqlite3.Connection,
        namespace: str,
        windows: Windows,
        known: KnownSessions | None = None,
    ) -> None:
        self.execute: Callable[..., sqlite3.Cursor] = connection.execute
        self.executemany: Callable[..., sqlite3.Cursor] = connection.executemany
        self.namespace, self.windows, self.known = namespace, windows, known
        self.woken: list[Wake] = []
        self.counted: list[Difference | Nothing] = []
        self._last_ticket: int | None = None
        self._saved_ticket: int | None = None

    def ticket(self) -> int:
        """A number above any before in this file; there may be gaps."""
        self._last_ticket = self.last_ticket() + 1
        return self._last_ticket

    def last_ticket(self) -> int:
        """The last one given out."""
        if self._last_ticket is not None:
            return self._last_ticket
        last: int
        (last,) = self.execute("SELECT last FROM tickets").fetchone()
        self._last_ticket = self._saved_ticket = last
        return last

    def count(self, before: Record | None, after: Record | None) -> None:
        """Count a session that was written."""
        self.counted.append(difference(self.namespace, before, after))

    def count_nothing(self) -> None:
        """Nothing is left in the namespace."""
        self.counted.append(Nothing(self.namespace))

    def save_tickets(self) -> None:
        """Note the last ticket, and the counts. Once, before COMMIT."""
        save_counts(self.execute, self.counted)
        if self._last_ticket != self._saved_ticket:
            self.execute("UPDATE tickets SET last = ?", (self._last_ticket,))

    def wake_session(self, session_id: str) -> None:
        """Tell the watchers of a session, and those of the whole store."""
        self.woken.append((self.namespace, "session", session_id, ""))
        self.woken.append((self.namespace, "store", "", ""))

    def wake_owner(self, scope: str, name: str, owner: str) -> None:
        """Tell the first in line for a turn or a lock."""
        self.woken.append((self.namespace, scope, name, owner))
