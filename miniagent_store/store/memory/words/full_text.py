"""Words by SQLite's FTS5, in memory only: what is encrypted at rest reaches no file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing

from miniagent_store.store.memory.words.contract import IndexedText
from miniagent_store.store.memory.words.tokens import tokens

# The tokens are made here, so that SQLite only has to take what stands between spaces.
_PUNCTUATION = "".join(chr(code) for code in range(33, 127) if not chr(code).isalnum())


def has_full_text() -> bool:
    """Whether Python's SQLite was built with FTS5."""
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute("CREATE VIRTUAL TABLE said USING fts5(words)")
        except sqlite3.OperationalError:
            return False
    return True


class FullTextWords:
    """A table of FTS5; BM25 with k1=1.2, b=0.75 (https://sqlite.org/fts5.html, "The bm25() function")."""

    def __init__(self) -> None:
        # Handed from thread to thread, and used by one at a time.
        self._connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA temp_store=MEMORY")
        signs = _PUNCTUATION.replace("'", "''").replace('"', '""')
        self._connection.execute(
            f"CREATE VIRTUAL TABLE said USING fts5(words, tokenize=\"ascii tokenchars '{signs}'\")"
        )
        self._rows: dict[str, int] = {}
        self._texts: dict[int, IndexedText] = {}
        self._next = 1

    def apply(self, added: Sequence[IndexedText], removed: Sequence[str]) -> None:
        """As `WordIndex.apply`."""
        gone = [*removed, *(each.id for each in added)]
        rows = [row for each in gone if (row := self._rows.pop(each, None)) is not None]
        self._connection.execute("BEGIN")
        self._connection.executemany("DELETE FROM said WHERE rowid = ?", [(row,) for row in rows])
        for row in rows:
            del self._texts[row]
        new = []
        for each in {each.id: each for each in added}.values():
            self._rows[each.id], self._texts[self._next] = self._next, each
            new.append((self._next, " ".join(tokens(each.text))))
            self._next += 1
        self._connection.executemany("INSERT INTO said(rowid, words) VALUES (?, ?)", new)
        self._connection.execute("COMMIT")

    def search(
        self, words: Sequence[str], k: int, allowed: Callable[[IndexedText], bool]
    ) -> list[tuple[str, float]]:
        """As `WordIndex.search`."""
        if not words:
            return []
        query = " OR ".join(_quoted(word) for word in dict.fromkeys(words))
        found: list[tuple[float, str]] = []
        ranked = self._connection.execute(
            "SELECT rowid, bm25(said) FROM said WHERE said MATCH ? ORDER BY 2", (query,)
        )
        for row, rank in ranked:
            # One more round for equals of the last, whose order must not depend on chance.
            if len(found) >= k and -rank < found[-1][0] - 1e-9:
                break
            text = self._texts[row]
            if allowed(text):
                found.append((-rank, text.id))
        found.sort(key=lambda each: (-round(each[0], 9), each[1]))
        return [(id, score) for score, id in found[:k]]

    def __len__(self) -> int:
        return len(self._rows)

    def close(self) -> None:
        """As `WordIndex.close`."""
        self._connection.close()


def _quoted(word: str) -> str:
    """As a string of FTS5, in which nothing is an operator."""
    return '"' + word.replace('"', '""') + '"'
