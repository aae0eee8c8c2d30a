"""The messages of a conversation, each stored once: which ones are known to be stored, and where."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from miniagent_store import Position, SessionStore
from miniagent_store.errors import DecodeError, SessionNotFoundError
from miniagent_store.values import MESSAGES, Entry

Runs = list[list[int]]


class KnownMessages:
    """The messages of a session by what they say, as they were when it was last looked at.

    A value: `with_new` makes another.

    Attributes:
        position: where the session stood; None if it was not there.
    """

    def __init__(self, position: Position | None, sequences: dict[bytes, int], last: int) -> None:
        self.position = position
        self._sequences, self._last = sequences, last

    @classmethod
    async def read(cls, store: SessionStore, session_id: str) -> KnownMessages:
        """Read all messages of a session."""
        try:
            read = await store.snapshot(session_id, logs=(MESSAGES,))
        except SessionNotFoundError:
            return cls(None, {}, 0)
        entries = read.logs[MESSAGES]
        sequences = {_digest(_text(entry)): entry.seq for entry in entries}
        return cls(read.position, sequences, read.position.seq(MESSAGES))

    async def newer(self, store: SessionStore, session_id: str) -> KnownMessages:
        """With what was added since; all of it anew where something else happened."""
        if self.position is None:
            return await self.read(store, session_id)
        try:
            read = await store.snapshot(session_id, after=self.position, logs=(MESSAGES,))
        except SessionNotFoundError:
            return KnownMessages(None, {}, 0)
        if read.resets or read.position.incarnation != self.position.incarnation:
            return await self.read(store, session_id)
        added = {_digest(_text(entry)): entry.seq for entry in read.logs[MESSAGES]}
        return KnownMessages(read.position, {**self._sequences, **added}, read.position.seq(MESSAGES))

    def refer(self, texts: Iterable[str]) -> tuple[Runs, dict[bytes, tuple[int, str]]]:
        """A history as runs of sequences, and the messages that are new, with what will be theirs."""
        runs: Runs = []
        new: dict[bytes, tuple[int, str]] = {}
        known, last = self._sequences, self._last
        for text in texts:
            digest = _digest(text)
            seq = known.get(digest)
            if seq is None:
                seq, _ = new.setdefault(digest, (last + len(new) + 1, text))
            if runs and runs[-1][1] == seq - 1:
                runs[-1][1] = seq
            else:
                runs.append([seq, seq])
        return runs, new

    def with_new(self, position: Position, new: dict[bytes, tuple[int, str]]) -> KnownMessages:
        """After a commit that stored what `refer` said was new."""
        # The same mapping, with more in it: whoever still has the older value finds the same in it.
        self._sequences.update((digest, seq) for digest, (seq, _) in new.items())
        return KnownMessages(position, self._sequences, self._last + len(new))


async def read_texts(store: SessionStore, session_id: str, histories: Sequence[Runs]) -> list[list[str]]:
    """The messages of several histories; one read for all.

    Raises:
        DecodeError: one of them is not there.
    """
    bounds = [bound for runs in histories for run in runs for bound in run]
    if not bounds:
        return [[] for _ in histories]
    entries = await store.entries(session_id, after=min(bounds) - 1, before=max(bounds) + 1)
    texts = {entry.seq: _text(entry) for entry in entries if not entry.redacted}
    try:
        return [
            [texts[seq] for first, last in runs for seq in range(first, last + 1)] for runs in histories
        ]
    except KeyError:
        problem = "a message that it refers to is gone"
    raise DecodeError("not a whole snapshot", detail=problem)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _text(entry: Entry) -> str:
    return str(entry.value.get("message", ""))
