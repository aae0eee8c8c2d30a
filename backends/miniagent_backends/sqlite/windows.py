"""Writers' outcomes as rows, and back."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import msgpack  # type: ignore[import-untyped]

from miniagent_store.backend import Outcome
from miniagent_store.rules import WriterWindow

# Some 10 kB each at most.
KEPT_WINDOWS = 1_000


@dataclass(slots=True)
class _Kept:
    packed: bytes
    window: WriterWindow
    pieces: list[bytes]  # of each outcome


class Windows:
    """Packs and unpacks windows, and remembers what the last ones were made of.

    A commit adds one outcome to the 32 of its writer; making the other 31 anew took a third of its time.
    What is remembered may belong to a transaction that was rolled back: it is used only where the very
    same bytes were read, or the same outcomes are written.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int | None, str], _Kept] = OrderedDict()
        self._packer = msgpack.Packer()

    def unpack(self, session: int | None, writer: str, stamp_ms: int, packed: bytes) -> WriterWindow:
        """The window of a row."""
        kept = self._kept.get((session, writer))
        if kept is None or kept.packed != packed or kept.window.stamp_ms != stamp_ms:
            unpacker = msgpack.Unpacker()
            unpacker.feed(packed)
            window = WriterWindow(stamp_ms, tuple(_outcome_of(*fields) for fields in unpacker))
            kept = _Kept(packed, window, [self._pack(*pair) for pair in window.outcomes])
            self._keep(session, writer, kept)
        return kept.window

    def pack(self, session: int, writer: str, window: WriterWindow) -> bytes:
        """The outcomes of a window, for a row: msgpack values one after the other."""
        kept = self._kept.get((session, writer))
        known = len(window.outcomes) - 1
        if kept and known and kept.window.outcomes[-known:] == window.outcomes[:-1]:
            last = self._pack(*window.outcomes[-1])
            dropped = sum(map(len, kept.pieces[:-known]))
            pieces, packed = [*kept.pieces[-known:], last], kept.packed[dropped:] + last
        else:
            pieces = [self._pack(*pair) for pair in window.outcomes]
            packed = b"".join(pieces)
        self._keep(session, writer, _Kept(packed, window, pieces))
        return packed

    def _keep(self, session: int | None, writer: str, kept: _Kept) -> None:
        self._kept[session, writer] = kept
        self._kept.move_to_end((session, writer))
        if len(self._kept) > KEPT_WINDOWS:
            self._kept.popitem(last=False)

    def _pack(self, counter: int, outcome: Outcome) -> bytes:
        fields = (counter, outcome.version, outcome.sequences, outcome.kept_out, outcome.counters)
        packed: bytes = self._packer.pack(fields)
        return packed


def _outcome_of(
    counter: int, version: int, sequences: list[int], kept_out: list[str], counters: list[int]
) -> tuple[int, Outcome]:
    return counter, Outcome(version, tuple(sequences), tuple(kept_out), tuple(counters))
