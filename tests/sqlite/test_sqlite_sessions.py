"""What is this backend's own in keeping sessions; what all backends promise is tested for all at once."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from sqlite_support import CREATE, commit, entry, identity, now_ms, opened, payloads, stored

from miniagent_backends.sqlite import listing
from miniagent_backends.sqlite.ranges import after_prefix
from miniagent_backends.sqlite.transaction import Transaction
from miniagent_store.backend import (
    Append,
    CacheItem,
    Clear,
    Commit,
    Create,
    Fence,
    LeaseGrant,
    LeaseHeld,
    LeaseRequest,
    ListQuery,
    LogRange,
    LogTail,
    NewEntry,
    RateStep,
    ReadPlan,
    Rewind,
    StagePublish,
    StageWrite,
    StateDeletePrefix,
    StateScan,
    StateSet,
    StoredValue,
    Trim,
)
from miniagent_store.errors import (
    BackendUnavailableError,
    FencedError,
    InvalidArgumentError,
    SessionExistsError,
)

# -- state -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        ("a", "b"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff\U0010ffff", None),
        ("\ud7ff", "\ue000"),
        ("", None),
        ("ab\x7f", "ab\x80"),
    ],
)
def test_the_end_of_a_prefix_is_the_next_text_that_utf_8_can_hold(prefix: str, end: str | None) -> None:
    assert after_prefix(prefix) == end


async def test_state_is_scanned_by_bytes_of_utf_8_both_ways(tmp_path: Path) -> None:
    names = ["a", "a\U0010ffff", "a\U0010ffff\U0010ffffz", "aZ", "aé", "a\uffee", "a😀", "b", "A", "é"]
    in_order = sorted(names, key=str.encode)
    async with opened(tmp_path / "a.db") as backend:
        await backend.commit(commit("s", state=tuple(StateSet(name, b"1") for name in names)))
        await backend.commit(commit("other", state=(StateSet("a", b"1"),)))

        async def scan(*arguments: object, **options: object) -> list[str]:
            plan = ReadPlan("s", scans=(StateScan(*arguments, **options),))  # type: ignore[arg-type]
            [values] = (await backend.read(plan)).scans
            return [value.name for value in values]

        with_a = [name for name in in_order if name.startswith("a")]
        assert await scan() == in_order
        assert await scan(reverse=True) == in_order[::-1]
        assert await scan("a") == with_a
        assert await scan("a", reverse=True, limit=2) == with_a[:-3:-1]
        assert await scan("a", start="aé") == with_a[with_a.index("aé") :]
        assert await scan("a", start="aé", reverse=True) == with_a[with_a.index("aé") :: -1]
        assert await scan("a\U0010ffff") == ["a\U0010ffff", "a\U0010ffff\U0010ffffz"]

        result = await backend.commit(commit("s", state=(StateDeletePrefix("a\U0010ffff"),)))
        assert result.record.size == len(names) - 2


# -- logs --------------------------------------------------------------------------------------------


async def test_rewinding_cuts_other_logs_after_the_same_commit(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        for number in range(20):
            entries = [entry(b"e%d-%d" % (number, each)) for each in range(number % 3)]
            appends = (Append("messages", (entry(b"m"),)), Append("events", tuple(entries)))
            await backend.commit(Commit("s", identity(), now_ms(), create=CREATE, changes=appends))

        await backend.commit(commit("s", changes=(Rewind(8),)))

        assert len(await payloads(backend, "s")) == 8
        assert (await payloads(backend, "s", "events"))[-1] == b"e7-0"
        await backend.commit(commit("s", changes=(Rewind(0),)))
        assert await payloads(backend, "s", "events") == []


async def test_a_callers_id_is_forgotten_with_its_entry(tmp_path: Path) -> None:
    def once() -> Commit:
        return commit("s", changes=(Append("messages", (entry(b"x", "id-1"),)),))

    async with opened(tmp_path / "a.db") as backend:
        assert (await backend.commit(once())).outcome.sequences == (1,)
        assert (await backend.commit(once())).outcome.sequences == (1,)
        await backend.commit(commit("s", changes=(Trim("messages", 2),)))
        assert (await backend.commit(once())).outcome.sequences == (2,)
        await backend.commit(commit("s", changes=(Clear(),)))
        assert (await backend.commit(once())).outcome.sequences == (3,)


# -- listing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (ListQuery(), "sessions_activity"),
        (ListQuery(ascending=True, cursor=(1, "s")), "sessions_activity"),
        (ListQuery(user_id="u", agent="a", cursor=(1, "s")), "sessions_user"),
        (ListQuery(agent="a", cursor=(1, "s")), "sessions_agent"),
        (ListQuery(tags=("x", "y"), user_id="u", cursor=(1, "s")), "PRIMARY KEY"),
    ],
)
async def test_a_page_is_read_from_an_index_in_its_order(
    tmp_path: Path, query: ListQuery, index: str
) -> None:
    def explain(transaction: Transaction) -> list[str]:
        sql, values = listing.statement(query, "", now_ms())
        return [row[3] for row in transaction.execute(f"EXPLAIN QUERY PLAN {sql}", values)]

    async with opened(tmp_path / "a.db") as backend:
        plan = await backend._read(explain)

    assert index in plan[0]
    assert not any("TEMP B-TREE" in step or step.startswith("SCAN") for step in plan), plan
    if query.cursor:
        assert "last_activity_ms" in plan[0], plan


async def test_pages_hold_each_session_once_whatever_filters(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        for number in range(60):
            create = Create(
                user_id=f"u{number % 2}",
                agent=f"a{number % 3}",
                tags=tuple(tag for tag in ("x", "y") if number % (2 if tag == "x" else 5)),
                ttl_ms=1 if number % 7 == 0 else None,
            )
            wanted = commit(f"s{number:02}", create=create, last_activity_ms=1000 + number // 4)
            await backend.commit(wanted)
        await asyncio.sleep(0.005)

        live = [number for number in range(60) if number % 7]
        for ascending in (False, True):
            for filters, numbers in (
                ({}, live),
                ({"user_id": "u1"}, [n for n in live if n % 2]),
                ({"agent": "a1", "user_id": "u0"}, [n for n in live if n % 6 == 4]),
                ({"tags": ("x",)}, [n for n in live if n % 2]),
                ({"tags": ("y", "x"), "agent": "a2"}, [n for n in live if n % 2 and n % 5 and n % 3 == 2]),
            ):
                found: list[str] = []
                cursor = None
                while True:
                    query = ListQuery(ascending=ascending, cursor=cursor, limit=7, **filters)  # type: ignore[arg-type]
                    page = await backend.list(query)
                    found += [each.session_id for each in page.records]
                    cursor = page.next_cursor
                    if cursor is None:
                        break
                expected = [f"s{n:02}" for n in numbers]
                assert found == (expected if ascending else expected[::-1]), filters


async def test_tags_follow_the_record(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        await backend.commit(commit("s", create=Create(tags=("x", "y", "x"))))
        await backend.commit(commit("s", b"later", last_activity_ms=now_ms() + 5))
        await backend.commit(commit("s", tags=("y", "z")))

        found = [len((await backend.list(ListQuery(tags=(tag,)))).records) for tag in "xyz"]
        assert found == [0, 1, 1]
        await backend.delete("s")
        assert await backend._read(lambda each: each.execute("SELECT count(*) FROM tags").fetchone()) == (
            0,
        )


# -- expiry and changes ------------------------------------------------------------------------------


async def test_what_expired_is_nowhere_and_is_swept_once(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        brief = Create(ttl_ms=30, user_id="u")
        for number in range(130):
            await backend.commit(commit(f"s{number}", b"1", create=brief, state=(StateSet("n", b"1"),)))
        await backend.commit(commit("stays", b"1"))
        _, cursor = await backend.changes(None, 10)
        await asyncio.sleep(0.04)

        assert await payloads(backend, "s1") == []
        assert not await backend.delete("s1")
        assert (await backend.stats()).sessions == {"session": 1}
        assert len((await backend.list(ListQuery())).records) == 1
        assert [each.deleted for each in (await backend.changes("0", 200))[0]] == [True] * 130 + [False]

        swept = await asyncio.gather(backend.sweep(100), backend.sweep(100))

        assert max(len(each) for each in swept) <= 100
        assert sum(len(each) for each in swept) == 130
        assert len({each.session_id for part in swept for each in part}) == 130
        assert await backend.sweep(100) == []
        gone, _ = await backend.changes(cursor, 200)
        assert [(each.user_id, each.version, each.deleted) for each in gone] == [("u", 1, True)] * 130
        rows = await backend._read(
            lambda each: [
                each.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("sessions", "entries", "state", "writers")
            ]
        )
        assert rows == [1, 1, 0, 1]


async def test_a_session_created_over_an_expired_one_has_nothing_of_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        create = Create(ttl_ms=10, tags=("old",))
        first = await backend.commit(commit("s", b"1", create=create, state=(StateSet("n", b"1"),)))
        await asyncio.sleep(0.02)
        second = await backend.commit(commit("s", b"2", create=Create()))

        assert second.created
        assert second.record.incarnation != first.record.incarnation
        assert await payloads(backend, "s") == [b"2"]
        assert (await backend.read(ReadPlan("s", names=("n",)))).values == ()
        assert (await backend.list(ListQuery(tags=("old",)))).records == ()


async def test_expired_values_weigh_until_they_are_swept(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        values = tuple(StateSet(f"n{number}", b"12345", ttl_ms=10) for number in range(3))
        before = (await backend.commit(commit("s", b"1", state=values))).record
        await asyncio.sleep(0.02)
        assert (await backend.read(ReadPlan("s", names=("n1",), scans=(StateScan(),)))).scans == ((),)

        await backend.sweep(10)

        after = (await backend.read(ReadPlan("s"))).record
        assert after is not None
        assert (before.size, after.size) == (16, 1)
        assert (after.version, after.token) == (before.version, before.token)


async def test_changes_tell_each_session_once_with_its_latest(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        for name in ("a", "b", "a", "c"):
            await backend.commit(commit(name, b"1"))
        await backend.touch("b", 1000, False)
        await backend.delete("c")

        first, cursor = await backend.changes("0", 2)
        rest, end = await backend.changes(cursor, 2)

        told = [(each.session_id, each.version, each.deleted) for each in (*first, *rest)]
        assert told == [("b", 1, False), ("a", 2, False), ("c", 1, True)]
        assert await backend.changes(end, 2) == ([], end)
        assert (await backend.changes(None, 2)) == ([], end)
        await backend.commit(commit("c", b"1"))
        [again], _ = await backend.changes(end, 2)
        assert (again.session_id, again.deleted) == ("c", False)
        assert len((await backend.changes("0", 10))[0]) == 3
        assert len((await backend.changes("999999", 10))[0]) == 3, "the file was put back"
        with pytest.raises(InvalidArgumentError):
            await backend.changes("x", 2)


# -- stages ------------------------------------------------------------------------------------------


def published(version: int = 1, **fields: object) -> StagePublish:
    return StagePublish("new", "stage-1", identity(), now_ms(), Create(), version, **fields)  # type: ignore[arg-type]


async def test_a_stage_is_invisible_and_published_whole(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        counter = StoredValue("c", 1, None, 7)
        parts = stored(11, [b"1", b"22"]), stored(13, [b"333"])
        write = StageWrite("new", "stage-1", entries=(("messages", parts[0]),), values=(counter,))
        await backend.stage(write)
        await backend.stage(
            StageWrite("new", "stage-1", (("messages", parts[1]),), (StoredValue("n", 1, b"4444"),))
        )
        assert (await backend.read(ReadPlan("new"))).record is None
        assert (await backend.list(ListQuery())).records == ()
        assert (await backend.stats()).messages == 0

        wanted = published(version=5, bases={"messages": 10, "events": 3})
        result = await backend.publish(wanted)

        assert result.created
        assert result.record.logs == {"messages": LogTail(10, 3), "events": LogTail(3, 0)}
        assert (result.record.version, result.record.size) == (5, 10)
        plan = ReadPlan("new", (LogRange("messages"),), scans=(StateScan(),))
        read = await backend.read(plan)
        assert read.entries == ((*parts[0], *parts[1]),)
        assert read.scans == ((counter, StoredValue("n", 1, b"4444")),)
        again = await backend.publish(wanted)
        assert (again.replayed, again.outcome) == (True, result.outcome)
        assert (await backend.commit(commit("new", b"5"))).outcome.sequences == (14,)


async def test_a_stage_whose_id_is_taken_is_dropped(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        await backend.stage(StageWrite("new", "stage-1", entries=(("messages", stored(1, [b"1"])),)))
        await backend.commit(commit("new", b"other"))

        with pytest.raises(SessionExistsError):
            await backend.publish(published())

        await backend.delete("new")
        with pytest.raises(BackendUnavailableError, match="gone"):
            await backend.publish(published())
        rows = await backend._read(
            lambda each: each.execute(
                "SELECT (SELECT count(*) FROM stages), (SELECT count(*) FROM entries)"
            ).fetchone()
        )
        assert rows == (0, 0)


async def test_a_stage_with_a_hole_or_an_id_twice_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        await backend.stage(StageWrite("new", "stage-1", entries=(("messages", stored(1, [b"1"])),)))

        with pytest.raises(InvalidArgumentError, match="goes on at 2, not at 3"):
            await backend.stage(StageWrite("new", "stage-1", entries=(("messages", stored(3, [b"1"])),)))
        one, two = stored(2, [b"1", b"2"])
        twice = tuple(_with_caller_id(each) for each in (one, two))
        with pytest.raises(InvalidArgumentError, match="caller's id twice"):
            await backend.stage(StageWrite("new", "stage-1", entries=(("messages", twice),)))

        assert (await backend.publish(published())).record.message_count == 1


async def test_a_stage_whose_first_part_is_gone_is_not_published(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        await backend.stage(StageWrite("new", "stage-1", entries=(("messages", stored(5, [b"1"])),)))

        with pytest.raises(BackendUnavailableError, match="gone"):
            await backend.publish(published())


async def test_a_stage_ends_with_its_time(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        part = StageWrite("new", "stage-1", entries=(("messages", stored(1, [b"1"])),), ttl_ms=10)
        await backend.stage(part)
        await asyncio.sleep(0.02)

        with pytest.raises(BackendUnavailableError, match="gone"):
            await backend.stage(part)
        with pytest.raises(BackendUnavailableError, match="gone"):
            await backend.publish(published())
        await backend.discard("new", "stage-1")
        await backend.stage(part)


def _with_caller_id(each: object) -> object:
    from dataclasses import replace

    return replace(each, caller_id="same", digest=b"d")  # type: ignore[type-var]


# -- leases, cache and rates -------------------------------------------------------------------------


async def test_a_new_owner_fences_the_one_before_though_nobody_commits(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        await backend.commit(commit("s", b"1"))
        before = (await backend.read(ReadPlan("s"))).record
        one = LeaseRequest("turn", "s", "one", ttl_ms=10, plan=ReadPlan("s", (LogRange("messages"),)))
        two = LeaseRequest("turn", "s", "two", ttl_ms=5_000, holder="two's name")

        first = await backend.acquire(one)
        assert isinstance(first, LeaseGrant)
        assert first.read is not None
        assert first.read.record is not None
        assert before is not None
        assert first.read.record.fence == first.fence
        assert first.read.record.version == before.version
        assert first.read.record.token[:16] == before.token[:16]
        assert first.read.record.token[16:] != before.token[16:]
        assert len(first.read.entries[0]) == 1
        await asyncio.sleep(0.02)
        second = await backend.acquire(two)
        assert isinstance(second, LeaseGrant)
        assert second.fence > first.fence

        with pytest.raises(FencedError):
            await backend.commit(commit("s", b"2", fence=Fence(first.fence, "one")))
        held = await backend.acquire(one)
        assert isinstance(held, LeaseHeld)
        assert held.holder == "two's name"
        assert await backend.renew(two, second.fence)
        await backend.commit(commit("s", b"3", fence=Fence(second.fence, "two")))
        assert not await backend.release(two, second.fence), "the commit has released it"


async def test_a_turn_outlives_its_session(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        request = LeaseRequest("turn", "s", "one", ttl_ms=5_000)
        missing = await backend.acquire(LeaseRequest("turn", "s", "one", 5_000, must_exist=True))
        assert isinstance(missing, LeaseGrant)
        assert missing.read is not None
        assert missing.read.record is None

        grant = await backend.acquire(request)
        assert isinstance(grant, LeaseGrant)
        created = await backend.commit(commit("s", b"1", create=Create()))
        assert created.record.fence == grant.fence
        await backend.delete("s")
        assert await backend.renew(request, grant.fence)


async def test_locks_and_turns_of_one_name_are_apart(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        answers = [
            await backend.acquire(LeaseRequest(scope, "n", owner, 5_000))  # type: ignore[arg-type]
            for scope, owner in (("turn", "a"), ("lock", "b"), ("lock", "c"))
        ]

        assert [type(each) for each in answers] == [LeaseGrant, LeaseGrant, LeaseHeld]


async def test_the_cache_keeps_forgets_and_clears(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        items = [
            CacheItem("a/1", b"1"),
            CacheItem("a/2", b"2", 10),
            CacheItem("b", b"3"),
            CacheItem("a/\U0010ffff", b"4"),
        ]
        await backend.cache_set(items)
        await asyncio.sleep(0.02)

        assert await backend.cache_get(["b", "a/2", "a/1", "nothing"]) == [b"3", None, b"1", None]
        assert await backend.cache_delete(["a/2", "b", "nothing"]) == 1
        assert await backend.cache_clear("a/") == 2
        await backend.sweep(1)
        rows = await backend._read(lambda each: each.execute("SELECT count(*) FROM cache").fetchone())
        assert rows == (0,)


@pytest.mark.parametrize("algorithm", ["fixed", "sliding", "bucket"])
async def test_a_rate_is_counted_across_connections(tmp_path: Path, algorithm: str) -> None:
    step = RateStep("k", algorithm, 5, 60_000)  # type: ignore[arg-type]
    async with opened(tmp_path / "a.db") as one, opened(tmp_path / "a.db") as other:
        results = [await backend.rate_limit(step) for backend in (one, other) * 4]

    assert [each.allowed for each in results] == [True] * 5 + [False] * 3
    assert results[-1].retry_after_ms > 0


# -- speed -------------------------------------------------------------------------------------------


async def test_appending_to_a_long_history_costs_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db", synchronous="OFF") as backend:
        for _ in range(20):
            entries = tuple(NewEntry(os.urandom(12), 1, b"x" * 100) for _ in range(1000))
            await backend.commit(commit("long", changes=(Append("messages", entries),)))
        await backend.commit(commit("short", b"x"))
        took: dict[str, list[float]] = {"long": [], "short": []}
        for _ in range(100):
            for name, times in took.items():
                started = time.perf_counter()
                await backend.commit(commit(name, b"x" * 100, b"x" * 100))
                times.append(time.perf_counter() - started)

    # Twice is far from what any scan of 20,000 entries would take.
    assert sorted(took["long"])[50] < 2 * sorted(took["short"])[50]
