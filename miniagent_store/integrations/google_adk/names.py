"""Where a session of ADK and the states that sessions share stand in a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias
from urllib.parse import quote, unquote

from miniagent_store.ids import join_id

Scope: TypeAlias = Literal["app", "user"]
SCOPES: tuple[Scope, ...] = ("app", "user")
VALUES = "v/"
"""Prefix of the names of an agent's own values, in a session and in what sessions share."""


class Place(NamedTuple):
    """Which session: ids are unique for a user of an app."""

    app: str
    user: str
    id: str

    @classmethod
    def of(cls, app: str, user: str, session_id: str | None) -> Place:
        """A place, with blanks around the session's id taken off, as ADK's own services do."""
        return cls(app, user, (session_id or "").strip())

    @property
    def session_id(self) -> str:
        """The id of its record."""
        return join_id(*self)

    def shared_id(self, scope: Scope) -> str:
        """The id of the record of what all sessions of the app share, or all of the user of the app."""
        # A part more than a session's id has, so that no app or user can be named to meet it.
        parts = (self.app,) if scope == "app" else (self.app, self.user)
        return join_id("google_adk", "state", scope, *parts)


def value_name(key: str) -> str:
    """The name under which the value of a key is stored; any text may be a key."""
    return VALUES + (key if key.isprintable() and "%" not in key else quote(key, safe="/:"))


def values_by_key(state: Mapping[str, Any]) -> dict[str, Any]:
    """The agent's values among those of a record."""
    return {unquote(name[len(VALUES) :]): value for name, value in state.items() if name.startswith(VALUES)}
