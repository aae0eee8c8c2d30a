"""Many entries of a log, kept as columns: reading a long history makes no object for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import overload

from miniagent_store.backend.records import StoredEntry

# Redacted, caller's id, digest.
Marks = tuple[bool, str | None, bytes | None]
_UNMARKED: Marks = (False, None, None)


class EntryColumns(Sequence[StoredEntry]):
    """Entries of a log in order; each is made when it is asked for.

    Args:
        seqs, ids, times_ms: of the entries.
        versions: gives those of the commits that wrote them.
        data: bytes that hold the payloads; each is all from `start` on.
        start: where payloads start in `data`.
        marks: by index, what is said of the few that are redacted or have a caller's id.
    """

    __slots__ = ("_versions", "data", "ids", "marks", "seqs", "start", "times_ms")
    ids: Sequence[bytes]
    seqs: Sequence[int]
    times_ms: Sequence[int]
    data: Sequence[bytes]
    marks: Mapping[int, Marks]
    start: int

    def __init__(
        self,
        seqs: Sequence[int],
        ids: Sequence[bytes],
        times_ms: Sequence[int],
        versions: Callable[[], Sequence[int]],
        data: Sequence[bytes],
        start: int = 0,
        marks: Mapping[int, Marks] | None = None,
    ) -> None:
        self.seqs, self.ids, self.times_ms = seqs, ids, times_ms
        self.data, self.start, self.marks = data, start, marks or {}
        self._versions: Callable[[], Sequence[int]] | Sequence[int] = versions

    @classmethod
    def of(cls, entries: Sequence[StoredEntry]) -> EntryColumns:
        """The columns of entries."""
        if isinstance(entries, cls):
            return entries
        if not entries:
            return cls((), (), (), tuple, ())
        seqs, versions, ids, times_ms, data, redacted, caller_ids, digests = zip(*entries, strict=True)
        marks: dict[int, Marks] = {}
        if any(redacted) or any(caller_ids):
            of_all = zip(redacted, caller_ids, digests, strict=True)
            marks = {at: mark for at, mark in enumerate(of_all) if mark != _UNMARKED}
        return cls(seqs, ids, times_ms, lambda: versions, data, 0, marks)

    @classmethod
    def joined(cls, parts: Sequence[EntryColumns]) -> EntryColumns:
        """Parts of a log, at least one, as one."""
        marks: dict[int, Marks] = {}
        at = 0
        for part in parts:
            marks.update((at + index, mark) for index, mark in part.marks.items())
            at += len(part)
        return cls(
            list(chain.from_iterable(part.seqs for part in parts)),
            list(chain.from_iterable(part.ids for part in parts)),
            list(chain.from_iterable(part.times_ms for part in parts)),
            lambda: list(chain.from_iterable(part.versions for part in parts)),
            list(chain.from_iterable(part.data for part in parts)),
            parts[0].start,
            marks,
        )

    def part(self, start: int, end: int) -> EntryColumns:
        """The entries from index `start` up to, not including, `end`."""
        marks = {at - start: mark for at, mark in self.marks.items() if start <= at < end}
        return EntryColumns(
            self.seqs[start:end],
            self.ids[start:end],
            self.times_ms[start:end],
            lambda: self.versions[start:end],
            self.data[start:end],
            self.start,
            marks,
        )

    @property
    def versions(self) -> Sequence[int]:
        """Of the commits that wrote them."""
        if callable(self._versions):
            self._versions = self._versions()
        return self._versions

    @property
    def redacted(self) -> Sequence[bool]:
        """Whether they are tombstones."""
        if not self.marks:
            return (False,) * len(self)
        return [at in self.marks and self.marks[at][0] for at in range(len(self))]

    def __len__(self) -> int:
        return len(self.data)

    @overload
    def __getitem__(self, at: int) -> StoredEntry: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[StoredEntry, ...]: ...

    def __getitem__(self, at: int | slice) -> StoredEntry | tuple[StoredEntry, ...]:
        if isinstance(at, slice):
            return tuple(map(self.__getitem__, range(*at.indices(len(self)))))
        index = range(len(self))[at]
        return StoredEntry(
            self.seqs[index],
            self.versions[index],
            self.ids[index],
            self.times_ms[index],
            self.data[index][self.start :],
            *self.marks.get(index, _UNMARKED),
        )

    def __iter__(self) -> Iterator[StoredEntry]:
        return map(self.__getitem__, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"EntryColumns({tuple(self)!r})"
