"""How much a tenant may hold and do."""

from __future__ import annotations

import time
from dataclasses import dataclass

from miniagent_store.backend import (
    Append,
    Backend,
    Commit,
    CommitResult,
    RateStep,
    ReadPlan,
    StateAdd,
    StateSet,
)
from miniagent_store.errors import InvalidArgumentError, TenantLimitError
from miniagent_store.options import TTL, parse_duration, parse_size

# What was counted is taken for what is there for so many seconds; what this view adds is counted beside it.
COUNTED_SECONDS = 1.0
# A key that no caller can give to `rate_limit`, which takes no braces.
COMMITS_KEY = "tenant{}commits"


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """What a tenant may hold and do, each None for no limit. Beyond: `TenantLimitError`.

    Reading, deleting and whatever only removes go on. Each view that is given them holds them; one that is
    not does not. What is under way at the same time, here or elsewhere, may go over the first two.

    Args:
        sessions: of kind "session".
        size: encoded bytes in sessions and collections, or a text such as "1GiB".
        commits: so many that add anything, in a sliding window of seconds or a text: ``(1000, "1m")``.

    Raises:
        InvalidArgumentError: one of them is no limit.
    """

    sessions: int | None = None
    size: int | str | None = None
    commits: tuple[int, TTL] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", parse_size(self.size))
        counts = [("sessions", self.sessions)]
        if self.commits is not None:
            if not isinstance(self.commits, tuple | list) or len(self.commits) != 2:
                raise InvalidArgumentError(f'commits is a pair such as (1000, "1m"), not {self.commits!r}')
            count, period = self.commits
            counts.append(("commits", count))
            if not parse_duration(period, what="the period of commits") * 1000 >= 1:
                raise InvalidArgumentError(f"the period of commits must be above zero, not {period!r}")
            object.__setattr__(self, "commits", (count, period))
        for name, value in counts:
            if value is not None and (type(value) is not int or value < 1):
                raise InvalidArgumentError(f"{name} must be a whole number above zero, not {value!r}")


class LimitGuard:
    """Keeps commits out that would go over the limits.

    Args:
        backend: counts what is held.
        tenant: its namespace, for messages.
        limits: to be held.

    Attributes:
        limits: as given.
    """

    limits: TenantLimits

    def __init__(self, backend: Backend, tenant: str, limits: TenantLimits) -> None:
        self._backend, self._tenant, self.limits = backend, tenant, limits
        self._size_limit = limits.size if isinstance(limits.size, int) else None
        self._sessions = self._size = 0
        self._counted_until = 0.0

    async def admit(self, commit: Commit) -> None:
        """Let a commit through.

        Raises:
            TenantLimitError: it would go over a limit.
            StoreError: the backend cannot be asked.
        """
        added = _added(commit)
        if added is None and commit.create is None:
            return
        is_session = commit.create is not None and commit.create.kind == "session"
        await self._check_held(added or 0, commit.session_id if is_session else None)
        await self._check_rate()

    async def admit_fork(self, session_id: str) -> None:
        """Let the copy of a session through; as `admit`. Its own size is not known before it is there."""
        await self._check_held(1, session_id)
        await self._check_rate()

    def count(self, commit: Commit, result: CommitResult) -> None:
        """Note what a commit has added; what was removed is seen at the next look."""
        if not result.replayed:
            self._size += _added(commit) or 0
            self._sessions += result.created and result.record.kind == "session"

    async def _check_held(self, added: int, new_session: str | None) -> None:
        if self.limits.sessions is None and self._size_limit is None:
            return
        creates = new_session is not None
        if time.monotonic() >= self._counted_until:
            await self._look()
        problem = self._problem(added, creates=creates)
        if problem is not None:
            # What was removed meanwhile makes room at once.
            await self._look()
            problem = self._problem(added, creates=creates)
        if problem is not None and new_session is not None and await self._is_there(new_session):
            problem = self._problem(added, creates=False)
        if problem is not None:
            raise problem

    async def _is_there(self, session_id: str) -> bool:
        return (await self._backend.read(ReadPlan(session_id))).record is not None

    def _problem(self, added: int, *, creates: bool) -> TenantLimitError | None:
        sessions, size = self.limits.sessions, self._size_limit
        if creates and sessions is not None and self._sessions >= sessions:
            return TenantLimitError(self._tenant, limit="sessions", allowed=sessions, used=self._sessions)
        if added and size is not None and self._size + added > size:
            return TenantLimitError(self._tenant, limit="size", allowed=size, used=self._size + added)
        return None

    async def _look(self) -> None:
        held = await self._backend.stats()
        self._sessions, self._size = held.sessions.get("session", 0), held.size
        self._counted_until = time.monotonic() + COUNTED_SECONDS

    async def _check_rate(self) -> None:
        if self.limits.commits is None:
            return
        limit, period = self.limits.commits
        step = RateStep(COMMITS_KEY, "sliding", limit, int(parse_duration(period) * 1000))
        result = await self._backend.rate_limit(step)
        if not result.allowed:
            raise TenantLimitError(
                self._tenant,
                limit="commits",
                allowed=limit,
                used=limit - result.remaining,
                retry_after=result.retry_after_ms / 1000,
            )


def _added(commit: Commit) -> int | None:
    """The bytes that a commit adds; None if it adds nothing, but may remove."""
    appended = [
        entry for change in commit.changes if isinstance(change, Append) for entry in change.entries
    ]
    values = [change for change in commit.state if isinstance(change, StateSet)]
    counts = any(isinstance(change, StateAdd) for change in commit.state)
    metadata = commit.metadata or (commit.create.metadata if commit.create else b"")
    if not (appended or values or counts or metadata):
        return None
    payloads = [*(entry.payload for entry in appended), *(value.payload for value in values)]
    return sum(map(len, payloads)) + len(metadata)
