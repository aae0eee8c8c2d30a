"""The way through the pages of a listing: where this page began, and where those before it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

# Pages before this one that the address knows the way back to, and characters that their cursors may take:
# an address has to fit into a request's first line.
TRAIL, LONGEST = 20, 4_000


@dataclass(frozen=True, slots=True)
class Place:
    """A page of a listing.

    Attributes:
        cursor: where it begins; None for the first.
        trail: cursors of the pages before, the first page left out; the last so many.
        number: which page it is; the first is 1.
    """

    cursor: str | None = None
    trail: tuple[str, ...] = ()
    number: int = 1

    @classmethod
    def of(cls, asked: QueryParams) -> Place:
        """The page that an address asks for."""
        cursor = asked.get("cursor") or None
        if cursor is None:
            return cls()
        number = asked.get("page", "")
        is_number = number.isascii() and number.isdigit() and len(number) < 10
        return cls(cursor, tuple(asked.getlist("trail")), max(int(number), 2) if is_number else 2)

    def after(self, cursor: str) -> Place:
        """The page behind this one, which begins at `cursor`."""
        trail = self.trail if self.cursor is None else (*self.trail, self.cursor)
        trail = trail[-TRAIL:]
        while sum(map(len, trail)) > LONGEST:
            trail = trail[1:]
        return Place(cursor, trail, self.number + 1)

    @property
    def before(self) -> Place | None:
        """The page before this one; None for the first, and where the way back is not known any more."""
        if self.trail:
            return Place(self.trail[-1], self.trail[:-1], self.number - 1)
        return Place() if self.number == 2 else None

    @property
    def query(self) -> dict[str, Any]:
        """The address that asks for it."""
        if self.cursor is None:
            return {}
        return {"page": self.number, "cursor": self.cursor, "trail": list(self.trail)}
