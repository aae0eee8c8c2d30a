"""Calls of a random program that are more than one call of a store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Entry, Message, Page, Position, Session

Call = Callable[[SessionStore], Awaitable[Any]]


async def walk(store: SessionStore, **filters: Any) -> set[str]:
    """The ids of all sessions, page by page."""
    found: list[str] = []
    cursor = None
    while True:
        page: Page = await store.list(cursor=cursor, limit=2, **filters)
        found += [session.id for session in page.items]
        cursor = page.next_cursor
        if cursor is None:
            assert len(found) == len(set(found)), "a session came twice"
            return set(found)


async def sweep_whole(store: SessionStore) -> int:
    """A sweep, and how many counts were wrong."""
    # How many have expired differs by nature.
    await store.sweep()
    report = await store.repair(dry_run=True)
    assert not report.found, report.damages
    return await store.reconcile()


async def collect(store: SessionStore, session_id: str, after: int) -> list[Message]:
    """All that is replayed."""
    return [message async for message in store.replay(session_id, after=after)]


async def counted(store: SessionStore) -> Any:
    """What `stats` counts, without what differs by nature."""
    stats = await store.stats()
    return (stats.sessions, stats.messages, stats.users, stats.agents, stats.problem)


async def inspected(
    store: SessionStore, session_id: str, log: str, last: Any, before: Any, values: int
) -> Any:
    """What an inspection shows, without how it is stored."""
    seen = await store.inspect(session_id, log=log, last=last, before=before, values=values)
    entries = [
        Entry(each.seq, each.id, each.time, each.version, each.log, each.value or {}, each.redacted)
        for each in seen.entries
    ]
    state = [(each.name, each.value, each.version) for each in seen.values]
    return [seen.session, seen.logs, entries, state, len(seen.gaps), len(seen.problems)]


def expecting(session_id: str, expected: Session | None) -> Call:
    """An update that expects a record."""
    return lambda s: s.update(session_id, metadata={"e": 1}, expected_version=expected)


def appending(session_id: str, message: Any, create: bool, commit_id: str) -> Call:
    """An append under an identity."""
    return lambda s: s.append(session_id, message, create=create, commit_id=commit_id)


def replacing(session_id: str, message: Any, tail: Position | None) -> Call:
    """A replacement that expects a tail."""
    return lambda s: s.replace(session_id, [message], expected_tail=tail)


def reading_after(session_id: str, position: Position | None, whole: bool) -> Call:
    """A read after a position."""
    if whole:
        return lambda s: s.snapshot(session_id, after=position, logs=("messages", "events"))
    return lambda s: s.history(session_id, after=position)


async def run_batch(
    store: SessionStore, session_id: str, changes: Any, turn: bool, create: bool, fail: bool
) -> Any:
    """Several changes in one commit, which may fail before it."""
    kind = store.turn if turn else store.batch
    try:
        async with kind(session_id, create=create) as batch:
            for what, name, value in changes:
                match what:
                    case "append":
                        batch.append(value, log=name)
                    case "add" | "set" | "set_if_absent":
                        getattr(batch.state, what)(name, value)
                    case "delete" | "delete_prefix":
                        getattr(batch.state, what)(name)
                    case "trim":
                        batch.trim(before=value, log=name)
                    case "clear":
                        batch.clear()
                    case "metadata":
                        batch.metadata = {"m": value}
                    case "tags":
                        batch.tags = value or ()
                    case "redact":
                        batch.redact(max(value, 1), reason="why", log=name)
                    case "replace":
                        batch.replace([{"n": value}], from_seq=max(value, 1), log=name)
            if fail:
                raise RuntimeError
    except RuntimeError:
        return "nothing stored"
    return batch.result


async def use_collection(store: SessionStore, shards: int, name: str, value: Any, what: int) -> Any:
    """One of the calls of a collection."""
    kv = store.kv("settings", shards=shards)
    match what % 7:
        case 0:
            return await kv.set(name, value)
        case 1:
            return await kv.get(name, "default")
        case 2:
            return await kv.set_many({name: value, "other": 1})
        case 3:
            return await kv.pop(name, "default")
        case 4:
            return await kv.scan()
        case 5:
            return await kv.set_if_absent(name, value)
        case _:
            return await kv.add(f"n/{name}", 2)
