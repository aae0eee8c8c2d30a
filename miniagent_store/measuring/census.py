"""What is counted of sessions as they are looked at, one by one, in little memory."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miniagent_store.values import Session

MOST = 10
DAYS = 14
# Ends of the classes of sizes, in bytes, and of times that are left.
SIZES = ((1 << 10, "to 1 KiB"), (10 << 10, "to 10 KiB"), (100 << 10, "to 100 KiB"), (1 << 20, "to 1 MiB"))
LARGER = "larger"
TERMS = (
    (timedelta(hours=1), "within 1 h"),
    (timedelta(days=1), "within 1 d"),
    (timedelta(days=7), "within 7 d"),
    (timedelta(days=30), "within 30 d"),
)
LATER, NEVER = "later", "never"


@dataclass(slots=True)
class Census:
    """Counts of conversations.

    Args:
        now: when it was taken; aware. Days are UTC.

    Attributes:
        sessions, messages, size: in all; the size in bytes.
        created, active: by day, of the last `DAYS` days.
        sizes, expiring: by class, in their order.
        users, agents: sessions of each.
        largest: the sessions with most bytes, the largest first.
    """

    now: datetime
    sessions: int = 0
    messages: int = 0
    size: int = 0
    created: Counter[date] = field(default_factory=Counter)
    active: Counter[date] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    expiring: Counter[str] = field(default_factory=Counter)
    users: Counter[str] = field(default_factory=Counter)
    agents: Counter[str] = field(default_factory=Counter)
    _largest: list[tuple[int, str, Session]] = field(default_factory=list)

    def add(self, session: Session) -> None:
        """Count one more."""
        self.sessions += 1
        self.messages += session.message_count
        self.size += session.size
        for days, moment in ((self.created, session.created_at), (self.active, session.last_activity)):
            if (self.now.date() - moment.date()).days < DAYS:
                days[moment.date()] += 1
        self.sizes[next((name for most, name in SIZES if session.size <= most), LARGER)] += 1
        self.expiring[self._term(session.expires_at)] += 1
        if session.user_id is not None:
            self.users[session.user_id] += 1
        if session.agent is not None:
            self.agents[session.agent] += 1
        heapq.heappush(self._largest, (session.size, session.id, session))
        if len(self._largest) > MOST:
            heapq.heappop(self._largest)

    def _term(self, expires_at: datetime | None) -> str:
        if expires_at is None:
            return NEVER
        left = expires_at - self.now
        return next((name for most, name in TERMS if left <= most), LATER)

    @property
    def largest(self) -> list[Session]:
        return [session for _, _, session in sorted(self._largest, reverse=True)]

    @property
    def days(self) -> list[date]:
        """The last days, the oldest first."""
        return [self.now.date() - timedelta(days=back) for back in reversed(range(DAYS))]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "now": self.now.isoformat(),
            "sessions": self.sessions,
            "messages": self.messages,
            "size": self.size,
            "created": {str(day): self.created[day] for day in self.days},
            "active": {str(day): self.active[day] for day in self.days},
            "sizes": {name: self.sizes[name] for name in (*(name for _, name in SIZES), LARGER)},
            "expiring": {
                name: self.expiring[name] for name in (*(name for _, name in TERMS), LATER, NEVER)
            },
            "users": len(self.users),
            "top_users": dict(self.users.most_common(MOST)),
            "agents": dict(self.agents.most_common(MOST)),
            "largest": [
                {"id": each.id, "size": each.size, "messages": each.message_count} for each in self.largest
            ],
        }
