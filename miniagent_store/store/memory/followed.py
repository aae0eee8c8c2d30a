"""How far a session was followed by a scope: what of it was looked at, and until when it was tidied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from miniagent_store.backend import Record
from miniagent_store.values import MESSAGES, Entry


@dataclass(frozen=True, slots=True)
class Followed:
    """Stands in the scope's record, so that it moves in the commit of the memories that it speaks of.

    Every commit that adds or removes memories of a session writes it, on condition that it is as it was
    read: so of those who follow and take back at the same time one begins again.

    Attributes:
        incarnation: of the session.
        created_ms: when it was made; one that was moved to another store has another incarnation there.
        epoch: of the session, when memories of what was taken back had last been removed.
        after: messages after this sequence have to be looked at.
        version, upto: of those, the ones committed later than this version, or with it and after this
            sequence; what is before was looked at, also where the sequence has come again.
        gone: the session is deleted; nothing of it is remembered any more.
    """

    incarnation: str
    created_ms: int = 0
    epoch: int = 0
    after: int = 0
    version: int = 0
    upto: int = 0
    gone: bool = False

    @classmethod
    def of(cls, record: Record) -> Self:
        """Of a session of which nothing was looked at."""
        return cls(record.incarnation, record.created_ms, record.epoch)

    def to_dict(self) -> dict[str, Any]:
        """As its state value holds it."""
        return {
            "incarnation": self.incarnation,
            "created_ms": self.created_ms,
            "epoch": self.epoch,
            "after": self.after,
            "version": self.version,
            "upto": self.upto,
            "gone": self.gone,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Of what `to_dict` made."""
        return cls(**plain)

    def is_of(self, incarnation: str, epoch: int) -> bool:
        """Whether it speaks of the session as it is."""
        return (self.incarnation, self.epoch) == (incarnation, epoch)

    def is_new(self, entry: Entry) -> bool:
        """Whether an entry was not looked at yet."""
        return (entry.version, entry.seq) > (self.version, self.upto)

    def past(self, entry: Entry) -> Self:
        """When all up to an entry has been looked at."""
        version, upto = max((self.version, self.upto), (entry.version, entry.seq))
        return replace(self, after=entry.seq, version=version, upto=upto)

    def first_change(self, record: Record) -> int | None:
        """The first message that may have been taken back since; None if none was."""
        return record.changed_since(self.incarnation, self.epoch).get(MESSAGES)

    def tidied(self, record: Record) -> Self:
        """When memories of what was taken back have been removed."""
        if self.incarnation != record.incarnation and self.created_ms != record.created_ms:
            return self.of(record)
        first = self.first_change(record)
        after = self.after if first is None else min(self.after, first - 1)
        return replace(self, incarnation=record.incarnation, epoch=record.epoch, after=after, gone=False)
