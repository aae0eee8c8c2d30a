"""What a migration has done, in a file: so that it goes on after a crash, and harms nobody's data."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from miniagent_store.errors import ConfigurationError

_FORMAT = "1"
_PAGE = 400


@dataclass(frozen=True, slots=True)
class Copied:
    """A session that this migration copies, or has copied.

    Attributes:
        source_token: of its record when it was read.
        incarnation, token: of the copy's record; "" and b"" while it is being made, and so may be there in
            part, whole, or not at all.
    """

    session_id: str
    source_token: bytes = b""
    incarnation: str = ""
    token: bytes = b""

    @property
    def done(self) -> bool:
        return bool(self.incarnation)


class Journal:
    """One file a migration.

    Args:
        path: made where it is missing.
        source, target: URLs without secrets; a file of two others is refused.

    Raises:
        ConfigurationError: the file is of another migration, in use by another process, or no journal.
    """

    def __init__(self, path: Path, source: str, target: str) -> None:
        self.path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            # One migration at a time; no copy is made before the journal tells of it.
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
                self._database.execute(f"PRAGMA {pragma}")
            self._database.executescript(
                "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
                "CREATE TABLE IF NOT EXISTS copied (id TEXT PRIMARY KEY, source_token BLOB, "
                "incarnation TEXT, token BLOB) WITHOUT ROWID;"
                "CREATE TABLE IF NOT EXISTS changed (id TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID;"
            )
            wanted: dict[str, str | None] = {"format": _FORMAT, "source": source, "target": target}
            standing = {name: self.fact(name) for name in wanted}
            if not any(standing.values()):
                self._database.executemany("INSERT INTO facts VALUES (?, ?)", wanted.items())
                standing = wanted
        except sqlite3.Error as error:
            self._database.close()
            raise ConfigurationError(
                f"{path} cannot be used as the journal of a migration ({error}); does another one run, "
                "or is it another file?"
            ) from error
        (self._number,) = self._database.execute("SELECT ifnull(max(number), 0) FROM changed").fetchone()
        if standing != wanted:
            self._database.close()
            raise ConfigurationError(
                f"{path} is the journal of a migration from {standing['source']} to {standing['target']}; "
                "name another file with --journal"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def fact(self, name: str) -> str | None:
        """What was noted under a name."""
        row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def note(self, name: str, value: str) -> None:
        """Note something about the migration as a whole."""
        self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM copied").fetchone()[0])

    def find(self, session_ids: Iterable[str]) -> Mapping[str, Copied]:
        """Those of these sessions that it tells of."""
        found: dict[str, Copied] = {}
        for each in session_ids:
            sql = "SELECT id, source_token, incarnation, token FROM copied WHERE id = ?"
            row = self._database.execute(sql, (each,)).fetchone()
            if row is not None:
                found[each] = Copied(*row)
        return found

    def write(self, copied: Iterable[Copied]) -> None:
        """Tell of sessions, in one step."""
        rows = [(each.session_id, each.source_token, each.incarnation, each.token) for each in copied]
        if rows:
            with self._step():
                self._database.executemany("INSERT OR REPLACE INTO copied VALUES (?, ?, ?, ?)", rows)

    def forget(self, session_ids: Iterable[str]) -> None:
        """Tell no longer of sessions that are gone."""
        self._database.executemany("DELETE FROM copied WHERE id = ?", [(each,) for each in session_ids])

    def pages(self) -> Iterator[list[str]]:
        """Ids of all sessions that it tells of, in their order."""
        after = ""
        while True:
            sql = "SELECT id FROM copied WHERE id > ? ORDER BY id LIMIT ?"
            page = [str(row[0]) for row in self._database.execute(sql, (after, _PAGE))]
            if not page:
                return
            yield page
            after = page[-1]

    # What has changed in the source

    def begin_following(self, name: str, cursor: str) -> None:
        """Forget all changes, and note where they are asked for from now on."""
        with self._step():
            self._database.execute("DELETE FROM changed")
            self.note(name, cursor)

    def note_changed(self, name: str, cursor: str, session_ids: Iterable[str]) -> None:
        """Note changes, and the cursor after them, in one step."""
        with self._step():
            for each in session_ids:
                self._number += 1
                sql = "INSERT OR REPLACE INTO changed VALUES (?, ?)"
                self._database.execute(sql, (each, self._number))
            self.note(name, cursor)

    def changed(self, limit: int) -> dict[str, int]:
        """Some sessions that have changed, each with the number of its last change."""
        sql = "SELECT id, number FROM changed ORDER BY number LIMIT ?"
        return {str(row[0]): int(row[1]) for row in self._database.execute(sql, (limit,))}

    def forget_changed(self, changed: Mapping[str, int]) -> None:
        """These were looked at; one that has changed again since, by its number, stays."""
        with self._step():
            sql = "DELETE FROM changed WHERE id = ? AND number = ?"
            self._database.executemany(sql, changed.items())

    @contextmanager
    def _step(self) -> Iterator[None]:
        self._database.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
