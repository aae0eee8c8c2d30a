"""What a repair found, and what became of it: what `SessionStore.repair` returns."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

DamageSort = Literal["index", "expiry", "part", "stage", "orphan", "lost"]
SORTS: tuple[DamageSort, ...] = get_args(DamageSort)
# Damages that are kept one by one; the rest is counted.
MOST_KEPT = 200


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that a crash, an eviction or somebody's hand left wrong.

    Attributes:
        sort: "index", what listings, counts and sweeps go by; "expiry", a part that would vanish before
            its session, or never; "part", what a session's other parts tell as well; "stage", what a copy
            that was cut short left; "orphan", parts of no session; "lost", a session that lacks a part.
        where: a session's id, or what else it is about.
        what: what is wrong, in words.
        mended: whether it is right now.
    """

    sort: DamageSort
    where: str
    what: str
    mended: bool = False


@dataclass(slots=True)
class RepairReport:
    """What was found and mended.

    Attributes:
        sessions: how many were looked at.
        found, mended: how many damages of each sort.
        damages: the first of them.
    """

    sessions: int = 0
    found: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    damages: list[Damage] = field(default_factory=list)

    @property
    def left(self) -> int:
        """How many damages are as they were."""
        return self.found.total() - self.mended.total()

    def add(self, damage: Damage, count: int = 1) -> None:
        """Note a damage that was found, or `count` that are alike."""
        if count:
            self.found[damage.sort] += count
            self.mended[damage.sort] += count * damage.mended
            # What is left has to be seen: it takes the place of what is well again.
            kept = len(self.damages) < MOST_KEPT
            if kept or (not damage.mended and self._make_room()):
                self.damages.append(damage)

    def _make_room(self) -> bool:
        for at, each in enumerate(self.damages):
            if each.mended:
                del self.damages[at]
                return True
        return False

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "sessions": self.sessions,
            "found": {sort: self.found[sort] for sort in SORTS},
            "mended": {sort: self.mended[sort] for sort in SORTS},
            "left": self.left,
            "damages": [asdict(each) for each in self.damages],
        }
