"""What two logs have in common, and where they part."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from miniagent_store.store.protocol import SessionStore
from miniagent_store.web.plain import json_of, reason_of, said
from miniagent_store.web.reading import PAGE, Said, read
from miniagent_store.web.rendering import size

# Words are compared in texts up to so many; beyond, the time it takes grows by the square.
WORDS = 1500
# Of texts that have less in common than this, all is said to differ: crumbs that are the same tell nothing.
ALIKE = 0.4
# Nobody reads these, and they are long.
_DATA = re.compile(r"data:([\w/+.-]+);base64,([A-Za-z0-9+/=]{64,})")
_WORD = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Extent:
    """A part of a log.

    Attributes:
        session_id: whose.
        first, last: sequences; `last` is less where there is nothing.
    """

    session_id: str
    first: int
    last: int

    @property
    def count(self) -> int:
        return max(0, self.last - self.first + 1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A row of two columns.

    Attributes:
        mark: "same", "differs", "left" or "right": which has it.
        left, right: the entries.
    """

    mark: str
    left: Said | None
    right: Said | None


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words of a text, and whether the other has them too."""

    text: str
    same: bool


def are_same(one: Said, other: Said) -> bool:
    """Whether two entries say the same. A fork has its entries with their ids, readable or not."""
    if one.redacted != other.redacted:
        return False
    if one.value is None or other.value is None:
        return one.value is other.value and one.id == other.id != ""
    return one.value == other.value


async def common(store: SessionStore, log: str, left: Extent, right: Extent) -> int:
    """How many entries two logs begin with alike."""
    upto = min(left.count, right.count)
    if left.session_id == right.session_id and left.first == right.first:
        return upto
    done = 0
    while done < upto:
        size = min(PAGE, upto - done)
        ours, theirs = [
            await read(store, each.session_id, log, each.first + done - 1, each.first + done + size - 1)
            for each in (left, right)
        ]
        same = _alike(ours, theirs)
        done += same
        if same < size:
            break
    return done


def _alike(ours: Sequence[Said], theirs: Sequence[Said]) -> int:
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if not are_same(one, other):
            return number
    return min(len(ours), len(theirs))


def paired(left: Sequence[Said], right: Sequence[Said]) -> Iterator[Pair]:
    """Two parts of logs beside each other: what is alike on one height."""
    matcher = SequenceMatcher(None, [*map(_key, left)], [*map(_key, right)], autojunk=False)
    for tag, low, high, first, last in matcher.get_opcodes():
        ours, theirs = list(left[low:high]), list(right[first:last])
        if tag == "equal":
            yield from (Pair("same", one, other) for one, other in zip(ours, theirs, strict=True))
            continue
        while ours or theirs:
            if ours and theirs and _go_together(ours[0], theirs[0]):
                yield Pair("differs", ours.pop(0), theirs.pop(0))
            elif ours:
                yield Pair("left", ours.pop(0), None)
            else:
                yield Pair("right", None, theirs.pop(0))


def _go_together(one: Said, other: Said) -> bool:
    # The same entry, which was redacted on one side; or what somebody said instead.
    return one.id == other.id != "" or one.role == other.role


def _key(each: Said) -> str:
    return f"{each.redacted} {each.id}" if each.value is None else f"{each.redacted} {json_of(each.value)}"


def text_of(each: Said) -> str:
    """What an entry says, or why it says nothing."""
    if each.value is None:
        return each.problem
    return reason_of(each.value) if each.redacted else _DATA.sub(_named, said(each.value))


def _named(data: re.Match[str]) -> str:
    """What stands for data of a picture or file: others have another digest."""
    digest = hashlib.sha256(data[2].encode()).hexdigest()
    return f"{data[1]}, {size(len(data[2]) * 3 // 4)}, SHA-256 {digest[:8]}…"


def words(one: Said, other: Said) -> tuple[list[Piece], list[Piece]]:
    """What two entries say, in pieces that the other has or has not."""
    texts = [text_of(each) for each in (one, other)]
    left, right = (_WORD.findall(text) for text in texts)
    if len(left) > WORDS or len(right) > WORDS:
        return [Piece(texts[0], False)], [Piece(texts[1], False)]
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    if matcher.ratio() < ALIKE:
        return [Piece(texts[0], False)], [Piece(texts[1], False)]
    ours: list[Piece] = []
    theirs: list[Piece] = []
    for _, low, high, first, last in matcher.get_opcodes():
        mine, yours = "".join(left[low:high]), "".join(right[first:last])
        # A comma between two changes is a part of them, not something that stayed.
        between = bool(ours) and not ours[-1].same and low > 0 and high < len(left)
        same = mine == yours and not (between and not re.search(r"\w", mine))
        _add(ours, mine, same)
        _add(theirs, yours, same)
    return ours, theirs


def _add(pieces: list[Piece], text: str, same: bool) -> None:
    if pieces and pieces[-1].same == same:
        text = pieces.pop().text + text
    if text:
        pieces.append(Piece(text, same))
