"""What is stored of a channel's value: lists as what was added to them, all else as it is.

A list is kept in parts: a version names the parts of earlier versions that it begins with, and holds only
what follows. So that a long list does not come to have thousands of parts, a version takes in the last
ones once there are `FAN_OUT` of about its size: an item is written again only as often as its list has
grown eightfold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from miniagent_store.integrations.langgraph.names import Version

FAN_OUT = 8
Typed = tuple[str, bytes]
"""What a serializer of LangGraph makes of a value: the name of a format, and bytes."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A value as it is."""

    value: Typed

    def plain(self) -> Any:
        return list(self.value)

    @property
    def size(self) -> int:
        return len(self.value[1])


@dataclass(frozen=True, slots=True)
class Part:
    """The end of a list, and where its beginning stands.

    Attributes:
        before: versions of the same channel whose own items come first, and how many of each.
        items: the items that follow.
    """

    before: tuple[tuple[Version, int], ...]
    items: tuple[Typed, ...]

    def plain(self) -> Any:
        return {
            "before": [list(each) for each in self.before],
            "items": [part for item in self.items for part in item],
        }

    @property
    def size(self) -> int:
        return sum(len(data) for _, data in self.items) + 32 * (len(self.before) + len(self.items))


Blob = Whole | Part
EMPTY = Whole(("empty", b""))
"""The channel has no value at this version."""


def from_plain(plain: Any) -> Blob:
    """What `plain()` was made of."""
    if isinstance(plain, list):
        return Whole((plain[0], plain[1]))
    flat = plain["items"]
    before = tuple((version, count) for version, count in plain["before"])
    return Part(before, tuple(zip(flat[::2], flat[1::2], strict=True)))


@dataclass(frozen=True, slots=True)
class KnownList:
    """A list as it is stored: its parts in order, each with the items that count."""

    parts: tuple[tuple[Version, tuple[Typed, ...]], ...]

    def items(self) -> list[Typed]:
        return [item for _, items in self.parts for item in items]


def part_after(base: KnownList | None, items: Sequence[Typed]) -> Part:
    """The list `items`, written as a continuation of `base` as far as it is one."""
    kept: list[tuple[Version, int]] = []
    start = 0
    for version, own in base.parts if base else ():
        if not own:
            continue
        same = _common(own, items, start)
        # Of a part that few items are left of, these are better written again than read for ever.
        if same < len(own) / 2:
            break
        kept.append((version, same))
        start += same
        if same < len(own):
            break
    taken = _taken_in([count for _, count in kept], len(items) - start)
    start -= sum(count for _, count in kept[taken:])
    return Part(tuple(kept[:taken]), tuple(items[start:]))


def _common(own: Sequence[Typed], items: Sequence[Typed], start: int) -> int:
    """How many of `own` stand in `items` from `start` on."""
    there = items[start : start + len(own)]
    if tuple(there) == own:
        return len(own)
    pairs = enumerate(zip(own, there, strict=False))
    return next((index for index, (mine, theirs) in pairs if mine != theirs), len(there))


def _taken_in(counts: Sequence[int], added: int) -> int:
    """How many of the parts with `counts` items stay, where the next one has `added`."""
    stay = len(counts)
    while True:
        level, first = _level(added), stay
        while first > 0 and _level(counts[first - 1]) <= level:
            first -= 1
        if stay - first < FAN_OUT - 1:
            return stay
        added += sum(counts[first:stay])
        stay = first


def _level(count: int) -> int:
    return (max(count, 1).bit_length() - 1) // (FAN_OUT.bit_length() - 1)
