"""The two sides of a migration: how values get over, and whether a session is the same on both."""

from __future__ import annotations

from miniagent_store.backend import ReadPlan, Record
from miniagent_store.moving.lines import content_digest, same_content
from miniagent_store.moving.plain_values import PlainValues
from miniagent_store.moving.walking import in_order
from miniagent_store.moving.whole import WholeSession, read_whole
from miniagent_store.store.core import StoreCore


class Sides:
    """A source and a target.

    Args:
        source, target: cores of the stores.
        sealed: stored bytes go over as they are, and are compared as such.
    """

    source: StoreCore
    target: StoreCore

    def __init__(self, source: StoreCore, target: StoreCore, *, sealed: bool) -> None:
        self.source, self.target = source, target
        self._of_source, self._of_target = PlainValues(source), PlainValues(target)
        ours, theirs = source.coding.codec, target.coding.codec
        same = str(ours.chain) == str(theirs.chain) and not ours.bound
        # Bytes that both write alike need not be opened; others are, so that the target can read them.
        self._as_stored = sealed or same

    def carried(self, session: WholeSession) -> WholeSession:
        """A session of the source as it is given to the target: with its bytes, or opened.

        Raises:
            SerializationError: a value cannot be read.
        """
        return session if self._as_stored else self._of_source.opened(session)

    def digest_of_both(self, session: WholeSession, copy: WholeSession) -> bytes | None:
        """The fingerprint of a session and its copy; None if they differ.

        Raises:
            SerializationError: a value cannot be read.
        """
        now_ms = self.source.backend.now_ms()
        if not self._as_stored:
            session, copy = self._of_source.opened(session), self._of_target.opened(copy)
        return content_digest(session, now_ms) if same_content(session, copy, now_ms) else None

    async def both(self, session_id: str) -> tuple[WholeSession | None, WholeSession | None]:
        """A session as it is on both sides."""
        here, there = await in_order(
            [read_whole(self.source, session_id), read_whole(self.target, session_id)]
        )
        return here, there

    async def records(self, session_id: str) -> tuple[Record | None, Record | None]:
        """A session's record on both sides."""
        plan = ReadPlan(session_id)
        here, there = await in_order([self.source.read(plan), self.target.read(plan)])
        return here.record, there.record
