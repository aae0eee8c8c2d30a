"""Which sessions a page shows, as its address says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from starlette.datastructures import QueryParams

from miniagent_store.options import parse_duration
from miniagent_store.values import Session

CENTURY = 100 * 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Filters:
    """What sessions have to be, and their order.

    Attributes:
        text: a part of the id, the user, the agent or a tag; upper and lower case are the same.
        user, agent, kind: only theirs; None for any.
        tags: all of them.
        since: active within so long, such as "1h"; None for any time.
        within: expiring within so long, likewise.
        oldest: the least recently active first.
    """

    text: str = ""
    user: str | None = None
    agent: str | None = None
    tags: tuple[str, ...] = ()
    kind: str = "session"
    since: str | None = None
    within: str | None = None
    oldest: bool = False

    @classmethod
    def of(cls, asked: QueryParams) -> Filters:
        """What an address asks for."""
        return cls(
            asked.get("q", "").strip(),
            asked.get("user") or None,
            asked.get("agent") or None,
            tuple(dict.fromkeys(tag for tag in asked.getlist("tag") if tag)),
            asked.get("kind") or "session",
            asked.get("since") or None,
            asked.get("within") or None,
            asked.get("order") == "oldest",
        )

    def but(self, **changed: Any) -> Filters:
        """Others like these."""
        return replace(self, **changed)

    def and_tag(self, tag: str) -> Filters:
        """These, and one tag more."""
        return replace(self, tags=tuple(dict.fromkeys((*self.tags, tag))))

    def without(self, name: str, tag: str | None = None) -> Filters:
        """These but for one of them; of several tags, for one."""
        if name == "tags":
            return replace(self, tags=tuple(each for each in self.tags if each != tag))
        nothing: dict[str, Any] = {name: {"text": "", "kind": "session"}.get(name)}
        return replace(self, **nothing)

    @property
    def query(self) -> dict[str, Any]:
        """The address that asks for these; None where it need not say anything."""
        return {
            "q": self.text or None,
            "user": self.user,
            "agent": self.agent,
            "tag": list(self.tags),
            "kind": None if self.kind == "session" else self.kind,
            "since": self.since,
            "within": self.within,
            "order": "oldest" if self.oldest else None,
        }

    @property
    def chosen(self) -> list[tuple[str, str, str]]:
        """The field, how it is called and its value, of each that is set."""
        named = {
            "text": ("Search", self.text),
            "user": ("User", self.user),
            "agent": ("Agent", self.agent),
            "kind": ("Kind", None if self.kind == "session" else self.kind),
            "since": ("Active within", self.since),
            "within": ("Expires within", self.within),
        }
        chosen = [(field, name, value) for field, (name, value) in named.items() if value]
        return chosen + [("tags", "Tag", tag) for tag in self.tags]

    @property
    def listed(self) -> dict[str, Any]:
        """Those that a store has indexes for, as arguments of `list` and `count_sessions`."""
        return {"user_id": self.user, "agent": self.agent, "tags": self.tags, "kind": self.kind}

    @property
    def is_counted(self) -> bool:
        """Whether the store can say at once how many sessions fit."""
        indexed = len(self.tags) + (self.user is not None) + (self.agent is not None)
        return indexed <= 1 and not (self.text or self.since or self.within)

    @property
    def looks_at_each(self) -> bool:
        """Whether no index knows which sessions fit, so that each has to be looked at."""
        return bool(self.text or self.within or (self.since and self.oldest))

    def at(self, now: datetime) -> Fitting:
        """What fits at a moment; aware.

        Raises:
            InvalidArgumentError: `since` or `within` is not a duration.
        """
        since = None if self.since is None else now - _length(self.since, "active within")
        until = None if self.within is None else now + _length(self.within, "expires within")
        return Fitting(self.text.casefold(), since, until)


@dataclass(frozen=True, slots=True)
class Fitting:
    """What no index knows.

    Attributes:
        text: case folded; "" for any.
        since: of this activity or later; None for any.
        until: expiring by then; None for any.
    """

    text: str
    since: datetime | None
    until: datetime | None

    def fits(self, session: Session) -> bool:
        """Whether a session is to be shown."""
        if self.since is not None and session.last_activity < self.since:
            return False
        if self.until is not None and (session.expires_at is None or session.expires_at > self.until):
            return False
        texts = (session.id, session.user_id or "", session.agent or "", *session.tags)
        return not self.text or any(self.text in each.casefold() for each in texts)

    def is_past(self, session: Session) -> bool:
        """Whether neither this nor any that was active before it can fit."""
        return self.since is not None and session.last_activity < self.since


def _length(text: str, what: str) -> timedelta:
    return timedelta(seconds=min(parse_duration(text, what=what), CENTURY))
