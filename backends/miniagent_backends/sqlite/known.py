"""What the writer knows of sessions without asking the file."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from miniagent_store.backend import Record
from miniagent_store.rules import WriterWindow

# Some 12 kB each at most, with the outcomes of one writer.
KEPT_SESSIONS = 1_000
# Metadata may be of any size; what is larger is read anew each time.
MOST_METADATA = 4_096
MOST_WRITERS = 4


class KnownSession(NamedTuple):
    """A session as it stands in the file.

    Attributes:
        key: of its parts.
        windows: of some of its writers.
    """

    key: int
    record: Record
    windows: Mapping[str, WriterWindow]


class KnownSessions:
    """Sessions as the last jobs of a connection left them; used inside its write transactions only.

    Nothing else can have changed them: the connection is the writer's own, and `begin` asks whether
    another one has committed since. What a job notes counts once it has succeeded.
    """

    def __init__(self) -> None:
        self._standing: OrderedDict[tuple[str, str], KnownSession] = OrderedDict()
        self._noted: dict[tuple[str, str], KnownSession | None] = {}
        self._version: int | None = None

    def begin(self, connection: sqlite3.Connection) -> None:
        """Forget all if another connection has written. The write lock must be held."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self.forget()
            self._version = version

    def get(self, namespace: str, session_id: str) -> KnownSession | None:
        """The session, if it is known."""
        place = namespace, session_id
        if place in self._noted:
            return self._noted[place]
        return self._standing.get(place)

    def note(self, namespace: str, session_id: str, session: KnownSession | None) -> None:
        """What the job that runs has made of a session; None: it is gone."""
        if session is not None and len(session.record.metadata) > MOST_METADATA:
            session = None
        self._noted[namespace, session_id] = session

    def keep(self) -> None:
        """The job has succeeded."""
        standing = self._standing
        for place, session in self._noted.items():
            standing.pop(place, None)
            if session is not None:
                standing[place] = session
        self._noted.clear()
        while len(standing) > KEPT_SESSIONS:
            standing.popitem(last=False)

    def undo(self) -> None:
        """The job has failed, and what it wrote is undone."""
        self._noted.clear()

    def forget(self) -> None:
        """Forget all: the transaction was rolled back, or rows were changed by other ways."""
        self._standing.clear()
        self._noted.clear()
