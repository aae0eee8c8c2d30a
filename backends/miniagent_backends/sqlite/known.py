"""What the writer knows of sessions without asking the file."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple, Protocol

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


class Changing(Protocol):
    """A session that a job works on."""

    def known(self) -> KnownSession | None:
        """What the job has made of it so far; None: it is gone."""
        ...


class KnownSessions:
    """Sessions as the last jobs of a connection left them; used inside its write transactions only.

    Nothing else can have changed them: the connection is the writer's own, and `begin` asks whether
    another one has committed since. What a job notes counts once it has succeeded.
    """

    def __init__(self) -> None:
        self._standing: OrderedDict[tuple[str, str], KnownSession] = OrderedDict()
        self._noted: dict[tuple[str, str], Changing] = {}
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
        changing = self._noted.get(place)
        return changing.known() if changing is not None else self._standing.get(place)

    def note(self, namespace: str, session_id: str, changing: Changing) -> None:
        """The job that runs has changed a session, and may go on to."""
        self._noted[namespace, session_id] = changing

    def keep(self) -> None:
        """The job has succeeded."""
        standing = self._standing
        for place, changing in self._noted.items():
            standing.pop(place, None)
            session = changing.known()
            if session is not None and len(session.record.metadata) <= MOST_METADATA:
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
