"""Promises of `Backend.commit`: all or nothing, in the order that its docstring gives."""

from __future__ import annotations

from typing import Any

import pytest

from miniagent_store.backend import (
    Append,
    Backend,
    Clear,
    Create,
    Expected,
    Fence,
    LeaseGrant,
    LeaseRequest,
    LogRange,
    ReadPlan,
    ReadResult,
    Redact,
    Rewind,
    StateAdd,
    StateDelete,
    StateDeletePrefix,
    StateScan,
    StateSet,
    Trim,
    Truncate,
)
from miniagent_store.errors import (
    FencedError,
    IdempotencyConflictError,
    InvalidArgumentError,
    LockLostError,
    SessionExistsError,
    SessionNotFoundError,
    SessionTooLargeError,
    StateTypeError,
    StoreError,
    VersionConflictError,
)
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    append,
    commit,
    entry,
    make,
    payloads,
)

# Changes that are fine by themselves, and stand before one that is not.
FINE: dict[str, Any] = {
    "changes": (
        *append(b"lost", log="new log"),
        Append("messages", (entry(b"lost", caller_id="lost"),)),
        Truncate("messages", 1),
        Trim("events", 2),
        *append(b"lost"),
    ),
    "state": (StateSet("new", b"lost"), StateDeletePrefix("gone/"), StateAdd("n", 1)),
    "metadata": b"lost",
    "tags": ("lost",),
    "last_activity_ms": 5,
}
REFUSED: list[tuple[str, dict[str, Any], type[StoreError]]] = [
    ("version", {"expected": Expected(99)}, VersionConflictError),
    ("exists", {"create": Create()}, SessionExistsError),
    ("hole", {"changes": (*FINE["changes"], Truncate("messages", 99))}, InvalidArgumentError),
    ("rewind", {"changes": (*FINE["changes"], Rewind(99))}, InvalidArgumentError),
    ("redact", {"changes": (*FINE["changes"], Redact("messages", 99, b"id", b""))}, InvalidArgumentError),
    (
        "redact other",
        {"changes": (*FINE["changes"], Redact("messages", 1, b"another", b""))},
        VersionConflictError,
    ),
    (
        "caller id",
        {"changes": (*FINE["changes"], Append("events", (entry(b"other", caller_id="mine"),)))},
        IdempotencyConflictError,
    ),
    ("condition", {"state": (*FINE["state"], StateSet("text", b"", if_version=0))}, VersionConflictError),
    (
        "delete",
        {"state": (*FINE["state"], StateDelete("text", if_version=1))},
        VersionConflictError,
    ),
    ("type", {"state": (*FINE["state"], StateAdd("text", 1))}, StateTypeError),
    ("overflow", {"state": (*FINE["state"], StateAdd("n", 2**63 - 1))}, StateTypeError),
    ("size", {"metadata": b"x" * 200, "max_size": 100}, SessionTooLargeError),
    ("fence", {"fence": Fence(1)}, FencedError),
    ("turn", {"fence": Fence(2**53, "nobody")}, LockLostError),
]


class CommitPromises(ConformanceBase):
    """One commit: all or nothing."""

    @pytest.mark.parametrize(
        ("what", "error"),
        [(what, error) for _, what, error in REFUSED],
        ids=[name for name, _, _ in REFUSED],
    )
    async def test_a_refused_commit_changes_nothing(
        self, backend: Backend, what: dict[str, Any], error: type[StoreError]
    ) -> None:
        await self._make_full(backend)
        before = await self._all_of(backend)

        with pytest.raises(error):
            await backend.commit(commit(backend, "s", 5, **{**FINE, **what}))

        assert await self._all_of(backend) == before
        # And nothing was left behind out of sight, such as the id of an entry.
        await backend.commit(commit(backend, "s", 6, **FINE))
        after = await self._all_of(backend)
        assert [payloads(each) for each in after.entries] == [[b"1", b"lost"], [b"e2"], [b"lost"]]
        assert after.record is not None
        assert before.record is not None
        assert after.record.version == before.record.version + 1

    async def _make_full(self, backend: Backend) -> None:
        """A session with something of everything, proved by a fence of 10."""
        await make(backend, "s", b"1", b"2", b"3", metadata=b"m", tags=("t",))
        events = Append("events", (entry(b"e1"), entry(b"e2", caller_id="mine")))
        state = (StateSet("text", b"text"), StateAdd("n", 1), StateSet("gone/1", b"g"))
        await backend.commit(
            commit(backend, "s", writer="filler", changes=(events,), state=state, fence=Fence(10))
        )

    async def _all_of(self, backend: Backend) -> ReadResult:
        logs = tuple(LogRange(log) for log in ("messages", "events", "new log"))
        return await backend.read(ReadPlan("s", logs, scans=(StateScan(),)))

    async def test_a_commit_that_cannot_make_its_session_leaves_none(self, backend: Backend) -> None:
        with pytest.raises(InvalidArgumentError):
            await backend.commit(
                commit(backend, "s", create=Create(), changes=(*append(b"a"), Truncate("messages", 9)))
            )
        with pytest.raises(SessionTooLargeError):
            await backend.commit(
                commit(backend, "s", 2, create=Create(), changes=append(b"a" * 99), max_size=10)
            )

        assert (await backend.read(ReadPlan("s"))).record is None
        made = await backend.commit(commit(backend, "s", 3, create=Create(), changes=append(b"b")))
        assert (made.created, made.record.version, made.outcome.sequences) == (True, 1, (1,))

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"create": Create(), "expected": Expected(99)}, SessionExistsError),
            ({"expected": Expected(99), "fence": Fence(1)}, VersionConflictError),
            ({"fence": Fence(1), "changes": (Truncate("messages", 99),)}, FencedError),
            (
                {"changes": (Truncate("messages", 99),), "state": (StateAdd("text", 1),)},
                InvalidArgumentError,
            ),
            (
                {"state": (StateAdd("text", 1),), "changes": append(b"x" * 999), "max_size": 50},
                StateTypeError,
            ),
        ],
        ids=["existence", "expected", "fence", "logs", "state"],
    )
    async def test_the_first_thing_that_is_wrong_is_told(
        self, backend: Backend, fields: dict[str, Any], error: type[StoreError]
    ) -> None:
        await self._make_full(backend)

        with pytest.raises(error):
            await backend.commit(commit(backend, "s", **fields))

    async def test_existence_comes_before_what_is_expected(self, backend: Backend) -> None:
        with pytest.raises(SessionNotFoundError):
            await backend.commit(commit(backend, "missing", expected=Expected(99)))

    async def test_changes_of_logs_happen_in_their_order(self, backend: Backend) -> None:
        await make(backend, "s", b"1", b"2")
        changes = (
            *append(b"3", b"4"),
            Truncate("messages", 3),
            *append(b"5"),
            Trim("messages", 2),
            *append(b"e", log="events"),
            Clear(),
            *append(b"6"),
        )

        result = await backend.commit(commit(backend, "s", changes=changes))

        assert result.outcome.sequences == (3, 4, 4, 1, 5)
        assert result.record.epoch == 1
        read = await backend.read(ReadPlan("s", (LogRange("messages"), LogRange("events"))))
        assert [payloads(each) for each in read.entries] == [[b"6"], []]
        assert [each.seq for each in read.entries[0]] == [5]

    async def test_a_commit_replaces_token_and_guard(self, backend: Backend) -> None:
        await make(backend, "s")
        results = [await backend.commit(commit(backend, "s", n, metadata=b"")) for n in range(1, 4)]
        tokens = [result.record.token for result in results]

        assert all(len(token) == 24 for token in tokens)
        assert len({token[:16] for token in tokens}) == len({token[16:] for token in tokens}) == 3

    async def test_touching_and_turns_replace_the_guard_alone(self, backend: Backend) -> None:
        await make(backend, "s")
        made = (await backend.read(ReadPlan("s"))).record

        touched = await backend.touch("s", None, keep_ttl=True)
        grant = await backend.acquire(LeaseRequest("turn", "s", "owner", 10_000))
        taken = (await backend.read(ReadPlan("s"))).record

        assert made is not None
        assert taken is not None
        assert isinstance(grant, LeaseGrant)
        assert made.token[:16] == touched.token[:16] == taken.token[:16]
        assert len({made.token[16:], touched.token[16:], taken.token[16:]}) == 3
        assert (taken.fence, taken.version) == (grant.fence, made.version)

    async def test_wanting_no_more_than_that_it_exists_changes_nothing(self, backend: Backend) -> None:
        await make(backend, "s", b"1")
        before = (await backend.read(ReadPlan("s"))).record

        result = await backend.commit(commit(backend, "s", create=Create(keep_existing=True)))

        assert (result.record, result.created, result.replayed) == (before, False, False)
        assert (await backend.read(ReadPlan("s"))).record == before

    async def test_a_created_record_is_what_was_asked_for(self, backend: Backend) -> None:
        create = Create("thread", "ada", "helper", ("a", "b"), 60_000, False, b"meta")
        now = backend.now_ms()

        made = await backend.commit(commit(backend, "s", create=create))

        record = made.record
        assert made.created
        assert (record.kind, record.user_id, record.agent) == ("thread", "ada", "helper")
        assert (record.tags, record.metadata, record.size) == (("a", "b"), b"meta", 4)
        assert (record.ttl_ms, record.sliding, record.version, record.epoch) == (60_000, False, 1, 0)
        assert record.expires_ms is not None
        assert now + 55_000 < record.expires_ms < now + 70_000
        assert (await backend.read(ReadPlan("s"))).record == record
