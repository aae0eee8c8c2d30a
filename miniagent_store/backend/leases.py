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
        line_until_ms: stand in line for it until then; 0 does not wait.
        not_after_ms: later it is refused, since nobody waits for the answer any more; 0 for never.
    """

    scope: Literal["turn", "lock"]
    name: str
    owner: str
    ttl_ms: int
    holder: str = ""
    plan: ReadPlan | None = None
    must_exist: bool = False
    line_until_ms: int = 0
    not_after_ms: int = 0


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
    """Someone else has it, or has a better claim to it.

    Attributes:
        holder: who has it, for people.
        remaining_ms: for how long still, unless renewed; 0 if it is free and those before may claim it.
        place: how many stand before this owner in line.
        claim_ms: after so long it may be this owner's, though nobody has released it and no one before
            has come for it.
    """

    holder: str
    remaining_ms: int
    place: int = 0
    claim_ms: int = 0
