"""Stored bytes that take the place of others which mean the same: for new keys and new formats."""

from __future__ import annotations

from dataclasses import dataclass

from miniagent_store.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class EntryRewrite:
    """Put `new` in the place of an entry's payload, if entry `seq` of `log` is still that one with `old`.

    Attributes:
        entry_id: `StoredEntry.id`.
    """

    log: str
    seq: int
    entry_id: bytes
    old: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class ValueRewrite:
    """Put `new` in the place of a state value's payload, if that is still `old`."""

    name: str
    old: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Parts of one session to be written anew, each only if it is still as it was read.

    One step holds a few hundred parts at most: who commits meanwhile waits for it.

    Attributes:
        incarnation: of the session that was read; another one is left alone.
        metadata: old and new bytes.
        data_key: old and new `Record.data_key`; b"" for none.

    Raises:
        InvalidArgumentError: a part is named twice.
    """

    session_id: str
    incarnation: str
    metadata: tuple[bytes, bytes] | None = None
    entries: tuple[EntryRewrite, ...] = ()
    values: tuple[ValueRewrite, ...] = ()
    data_key: tuple[bytes, bytes] | None = None

    def __post_init__(self) -> None:
        places = {(entry.log, entry.seq) for entry in self.entries}
        names = {value.name for value in self.values}
        if len(places) + len(names) < len(self.entries) + len(self.values):
            raise InvalidArgumentError("a rewrite names a part twice; name each part once")

    @property
    def parts(self) -> int:
        """How many parts it names."""
        alone = (self.metadata, self.data_key)
        return len(self.entries) + len(self.values) + sum(each is not None for each in alone)


@dataclass(frozen=True, slots=True)
class RewriteResult:
    """How many parts were replaced, and how many are no longer what was read and were left alone."""

    replaced: int
    kept: int
