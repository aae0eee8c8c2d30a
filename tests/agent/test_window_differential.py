"""What is read for a window is what stands in the whole log, whatever was done to it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from miniagent_store import Compaction, ContextWindow, Message, SessionStore, open_store
from miniagent_store.agent.window_reading import read_window

ROLES = st.sampled_from(["user"] * 8 + ["system"])
CHANGES = st.one_of(
    st.tuples(st.just("append"), st.lists(ROLES, min_size=1, max_size=90)),
    st.tuples(st.sampled_from(["redact", "rewind", "trim"]), st.floats(0, 1)),
    st.tuples(st.sampled_from(["clear", "pop", "again"]), st.none()),
)
WINDOWS = st.one_of(
    st.builds(ContextWindow, messages=st.integers(1, 80)),
    st.builds(ContextWindow, tokens=st.integers(120, 600), counter=st.just(lambda message: 5)),
)


async def listing(messages: Sequence[Message], summary: str | None) -> str:
    """A summary that tells exactly what it covers."""
    return " ".join([*(summary or "").split(), *(str(each.content) for each in messages)])


async def change(store: SessionStore, what: str, how: Any, numbers: Any) -> None:
    entries = await store.entries("s")
    seq = 0
    if entries and isinstance(how, float):
        seq = entries[min(int(how * len(entries)), len(entries) - 1)].seq
    if what == "append":
        await store.append("s", *(Message(role, str(next(numbers))) for role in how))
    elif what == "redact" and seq and not next(each for each in entries if each.seq == seq).redacted:
        await store.redact("s", seq, reason="test")
    elif what == "rewind" and seq:
        await store.rewind("s", to=seq)
    elif what == "trim" and seq:
        await store.trim("s", before=seq)
    elif what == "clear":
        await store.clear("s")
    elif what == "pop" and entries:
        await store.pop("s", 1)
    elif what == "again":
        await store.delete("s")
        await store.create("s")


async def run(changes: list[Any], window: ContextWindow, *, summarizes: bool) -> None:
    compaction = Compaction(listing, max_tokens=10**6) if summarizes else None
    numbers = iter(range(10**6))
    async with open_store(f"memory://{secrets.token_hex(4)}") as store:
        await store.create("s")
        for what, how in changes:
            await change(store, what, how, numbers)
            view = await read_window(store, "s", window, compaction)
            async with store.batch("s") as batch:
                view.write(batch)
            standing = [each for each in await store.entries("s") if not each.redacted]
            pinned = [each.message.content for each in standing if window.pins(each.message)]
            others = [each.message.content for each in standing if not window.pins(each.message)]
            covered = str(view.summary[0].content).split("\n")[1].split() if view.summary else []
            tail = [each.content for each in view.history]
            assert [each.content for each in view.pinned] == pinned
            assert tail == others[len(others) - len(tail) :]
            if summarizes:
                assert covered + tail == others
            else:
                assert covered == []
                if 5 * len(pinned) <= (window.tokens or 10**6):
                    best = window.choose([*map(Message.user, others)], always=view.pinned)
                    shown = window.choose(view.history, always=view.pinned)
                    assert [each.content for each in shown] == [each.content for each in best]


@settings(max_examples=40, deadline=None)
@given(st.lists(CHANGES, min_size=1, max_size=12), WINDOWS)
def test_a_window_shows_what_the_whole_log_would(changes: list[Any], window: ContextWindow) -> None:
    asyncio.run(run(changes, window, summarizes=False))


@settings(max_examples=40, deadline=None)
@given(st.lists(CHANGES, min_size=1, max_size=12), WINDOWS)
def test_summary_and_window_are_the_log_without_a_gap(changes: list[Any], window: ContextWindow) -> None:
    asyncio.run(run(changes, window, summarizes=True))
