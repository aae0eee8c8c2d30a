"""Turns of sessions and named locks, as a backend is asked for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from miniagent_store.backend.reads import ReadPlan, ReadResult


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """Ask for a session's turn, or for a named lock.

    Attributes:
        scope: "turn" (`name` is a session id) or "lock" (any name).
        owner: random token of the holder; the same owner re-acquires with the same fence.
        ttl_ms: how long it holds unless renewed.
        holder: for people: who it is; shown to those who wait.
        plan: read this in the same step, once granted.
        must_exist: for a turn: grant it only if the session is there.
    """

    scope: Literal["turn", "lock"]
    name: str
    owner: str
    ttl_ms: int
    holder: str = ""
    plan: ReadPlan | None = None
    must_exist: bool = False


@dataclass(frozen=True, slots=True)
class LeaseGrant:
    """It is yours.

    Attributes:
        fence: higher than any before for this name.
        read: what the request's plan asked for. With `must_exist` and no session there is no record in it,
            and nothing is held.
    """

    fence: int
    expires_ms: int
    read: ReadResult | None = None


@dataclass(frozen=True, slots=True)
class LeaseHeld:
    """Someone else has it, for `remaining_ms` more unless renewed."""

    holder: str
    remaining_ms: int
