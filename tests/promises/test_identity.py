"""A commit is stored once, whatever happens to replies; where it cannot be known, that is said."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import (
    IdempotencyConflictError,
    InvalidArgumentError,
    Message,
    OutcomeUnknownError,
    SessionStore,
    open_store,
)
from miniagent_store.backend import Commit, CommitIdentity, CommitResult


class LossyBackend:
    """Passes everything on, and throws away the replies of commits as told."""

    def __init__(self, backend: Any, lose: Callable[[], bool]) -> None:
        self._backend, self._lose = backend, lose
        self.lost = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def commit(self, commit: Commit) -> CommitResult:
        result: CommitResult = await self._backend.commit(commit)
        if self._lose():
            self.lost += 1
            raise ConnectionError("the reply was thrown away")
        return result


def lose_replies(store: SessionStore, lose: Callable[[], bool]) -> LossyBackend:
    core: Any = store._core  # type: ignore[attr-defined]
    core.backend = LossyBackend(core.backend, lose)
    return core.backend  # type: ignore[no-any-return]


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SessionStore]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/sessions.db"
    async with open_store(url, deadline=5) as store:
        yield store


@pytest.mark.parametrize("lost", [25, pytest.param(100, marks=pytest.mark.slow)])
async def test_lost_replies_store_each_message_once(store: SessionStore, lost: int) -> None:
    session = await store.create()
    chance = random.Random(1)
    lossy = lose_replies(store, lambda: lossy.lost < lost and chance.random() < 0.7)

    number = 0
    while lossy.lost < lost:
        await store.append(session.id, Message.user(str(number)))
        number += 1

    history = await store.history(session.id)
    assert [message.content for message in history] == [str(each) for each in range(number)]
    assert (await store.get(session.id)).version == number + 1


async def test_lost_replies_do_not_repeat_state_pops_creates_or_deletes(store: SessionStore) -> None:
    answers = iter([True, False] * 50)
    await store.create("s")
    await store.append("s", *(Message.user(str(number)) for number in range(5)))
    lose_replies(store, lambda: next(answers))

    popped = await store.pop("s", 2)
    total = await store.state("s").add("count", 3)
    created = await store.create("t")
    deleted = await store.delete("t")

    assert [message.content for message in popped] == ["3", "4"]
    assert await store.count("s") == 3
    assert total == 3
    assert created.version == 1
    assert deleted


async def test_replies_that_stay_away_are_an_unknown_outcome_that_can_be_asked_again(
    store: SessionStore,
) -> None:
    session = await store.create()
    lossy = lose_replies(store, lambda: True)
    _be_impatient(store)

    with pytest.raises(OutcomeUnknownError) as told:
        await store.append(session.id, Message.user("once"))
    lossy._lose = lambda: False
    again = await store.append(session.id, Message.user("once"), commit_id=told.value.commit_id)

    assert again.version == 2
    assert [message.content for message in await store.history(session.id)] == ["once"]


def _be_impatient(store: SessionStore) -> None:
    store._core.retrying._deadline = 0.3  # type: ignore[attr-defined]


async def test_a_repeated_create_does_not_raise_the_dead(store: SessionStore) -> None:
    lossy = lose_replies(store, lambda: True)
    _be_impatient(store)
    with pytest.raises(OutcomeUnknownError) as told:
        await store.append("s", Message.user("hello"), create=True)
    lossy._lose = lambda: False
    assert await store.delete("s")

    with pytest.raises(OutcomeUnknownError):
        await store.append("s", Message.user("hello"), create=True, commit_id=told.value.commit_id)


async def test_a_commit_id_is_answered_from_another_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sessions.db"
    async with open_store(url) as store:
        await store.create("s")
        commit_id = store.new_commit_id()
        first = await store.append("s", Message.user("once"), commit_id=commit_id)
    script = (
        "import asyncio, sys\n"
        "from miniagent_store import Message, open_store\n"
        "async def main():\n"
        "    async with open_store(sys.argv[1]) as store:\n"
        "        session = await store.append('s', Message.user('once'), commit_id=sys.argv[2])\n"
        "        print(session.version, await store.count('s'))\n"
        "asyncio.run(main())\n"
    )

    told = subprocess.run(
        [sys.executable, "-c", script, url, commit_id], capture_output=True, text=True, check=True
    )

    assert told.stdout.split() == [str(first.version), "1"]


async def test_a_retry_after_its_not_after_is_an_unknown_outcome(store: SessionStore) -> None:
    await store.create("s")
    past = CommitIdentity("abc", 1, store._core.backend.now_ms() - 1)  # type: ignore[attr-defined]

    with pytest.raises(OutcomeUnknownError):
        await store.append("s", Message.user("late"), commit_id=str(past))

    assert await store.count("s") == 0


async def test_a_remembered_outcome_is_told_even_after_its_not_after(store: SessionStore) -> None:
    await store.create("s")
    now_ms = store._core.backend.now_ms()  # type: ignore[attr-defined]
    soon = str(CommitIdentity("abc", 1, now_ms + 150))
    await store.append("s", Message.user("in time"), commit_id=soon)
    while store._core.backend.now_ms() <= now_ms + 150:  # type: ignore[attr-defined]
        await asyncio.sleep(0.02)

    again = await store.append("s", Message.user("in time"), commit_id=soon)

    assert again.message_count == 1


async def test_a_counter_below_the_window_is_an_unknown_outcome(store: SessionStore) -> None:
    await store.create("s")
    not_after = store._core.backend.now_ms() + 20_000  # type: ignore[attr-defined]
    for counter in range(2, 35):
        await store.append("s", {"n": counter}, commit_id=str(CommitIdentity("w", counter, not_after)))

    with pytest.raises(OutcomeUnknownError):
        await store.append("s", {"n": 1}, commit_id=str(CommitIdentity("w", 1, not_after)))

    assert await store.count("s") == 33


async def test_a_callers_id_is_stored_once_while_its_entry_stands(store: SessionStore) -> None:
    await store.create("s")
    message = Message.user("hello", id="m1")
    async with store.batch("s") as batch:
        batch.append(message, Message.user("other"), message)
    again = await store.append("s", message)

    assert batch.result is not None
    assert batch.result.sequences == (1, 2, 1)
    assert again.message_count == 2
    with pytest.raises(IdempotencyConflictError):
        await store.append("s", Message.user("changed", id="m1"))
    await store.redact("s", 1, reason="asked")
    assert (await store.append("s", message)).message_count == 2
    await store.rewind("s", to=0)
    assert (await store.append("s", message)).message_count == 1


async def test_what_is_no_commit_id_is_refused(store: SessionStore) -> None:
    await store.create("s")

    with pytest.raises(InvalidArgumentError):
        await store.append("s", Message.user("x"), commit_id="nonsense")
