"""A transaction, as what runs inside it sees it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg

from miniagent_postgresql.location import topic_key

Row = tuple[Any, ...]
Connection = psycopg.Connection[Row]
_CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"


class Transaction:
    """One transaction on a connection in pipeline mode: what is written waits for no answer.

    A statement whose rows nobody fetches travels with the next one whose rows somebody does, so a commit
    that appends takes two round trips: one to read the record, one for all that it writes.

    Attributes:
        namespace: of the store, or of the tenant whose job is done.
        woken: what is to be told when it is committed, as `topic_key` names it.
        clock: the server's, where it was asked: when, what it said (ms), and when the answer came.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.namespace = ""
        self.woken: list[str] = []
        self.clock: tuple[float, int, float] | None = None
        self._guard = self._guarded = False
        self._woken_before = 0

    def ask(self, sql: str, values: Sequence[Any] = ()) -> psycopg.Cursor[Row]:
        """Send a query; its rows are there when they are fetched."""
        return self._connection.execute(sql.encode(), values, binary=True, prepare=True)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query."""
        return self.ask(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of a query."""
        return self.ask(sql, values).fetchone()

    def number(self, sql: str, values: Sequence[Any] = ()) -> int:
        """The whole number that is the only value of a query."""
        row = self.row(sql, values)
        assert row is not None, "asked of an aggregate"
        return int(row[0])

    def write(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Send a statement that gives no rows."""
        self._set_guard()
        self._connection.execute(sql.encode(), values, prepare=True)

    def changed(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Rows that a statement which writes gives (RETURNING)."""
        self._set_guard()
        return self.rows(sql, values)

    def count(self, sql: str, values: Sequence[Any] = ()) -> int:
        """How many rows a statement wrote."""
        self._set_guard()
        return self.number(f"WITH changed AS ({sql} RETURNING 1) SELECT count(*) FROM changed", values)

    def new_key(self) -> int:
        """A key for a session or stage."""
        return self.number("SELECT nextval('keys')")

    @property
    def now_ms(self) -> int:
        """The server's clock, as it was when this transaction had its locks."""
        if self.clock is None:
            asked = time.monotonic()
            now_ms = self.number(_CLOCK)
            self.clock = (asked, now_ms, time.monotonic())
        return self.clock[1]

    # Notifications

    def wake(self, scope: str, name: str = "", owner: str = "") -> None:
        """Tell who watches a topic."""
        self.woken.append(topic_key(self.namespace, scope, name, owner))

    # Several jobs in one transaction

    def begin_job(self, namespace: str, guarded: bool) -> None:
        """What follows is done for one caller, and undone alone where it fails, if `guarded`."""
        self.namespace = namespace
        self._guard, self._guarded, self._woken_before = guarded, False, len(self.woken)

    def end_job(self, failed: bool) -> None:
        """The job has come to its end."""
        self._guard = False
        if failed:
            del self.woken[self._woken_before :]
        if self._guarded:
            self._connection.execute("ROLLBACK TO SAVEPOINT job" if failed else "RELEASE SAVEPOINT job")

    def _set_guard(self) -> None:
        """Before the first statement of a job that writes."""
        if self._guard:
            self._guard, self._guarded = False, True
            self._connection.execute("SAVEPOINT job")
