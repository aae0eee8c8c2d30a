"""A process that is killed loses nothing that it was told is stored."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from miniagent_store import open_store

from .crashes import check_turns, kill_in_full_flight, read_all, start_appender


async def kill_again_and_again(url: str, kills: int) -> int:
    """Kill appenders one after the other; how many turns are stored at the end."""
    chance = random.Random(20261125)
    acknowledged: set[str] = set()
    checked = 0
    for _ in range(kills):
        process = start_appender(url, "s", tasks=chance.choice([1, 4]))
        told = set(kill_in_full_flight(process, chance))
        acknowledged |= told

        started = time.monotonic()
        async with open_store(url) as store:
            entries = await read_all(store, "s", after=checked)
            session = await store.get("s")
        assert time.monotonic() - started < 5, "the store did not open at once"
        check_turns(entries, told, first_seq=checked + 1)
        checked = entries[-1].seq
        assert session.message_count == checked
        # Each commit is one version, and the first made the session.
        assert session.version == checked // 2

    async with open_store(url) as store:
        check_turns(await read_all(store, "s"), acknowledged)
    return checked // 2


async def test_ten_kills_lose_no_acknowledged_turn(tmp_path: Path) -> None:
    assert await kill_again_and_again(f"sqlite:///{tmp_path}/sessions.db", 10) >= 10


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_three_hundred_kills_lose_no_acknowledged_turn(tmp_path: Path) -> None:
    stored = await kill_again_and_again(f"sqlite:///{tmp_path}/sessions.db", 300)

    print(f"300 kills, {stored} turns stored")


async def test_four_processes_append_to_one_session(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sessions.db"
    async with open_store(url) as store:
        await store.create("s")

    # 4 processes x 5 tasks x 25 turns of two messages.
    processes = [start_appender(url, "s", tasks=5, turns=25) for _ in range(4)]
    results = [process.communicate(timeout=120) for process in processes]

    assert [
        (process.returncode, errors) for process, (_, errors) in zip(processes, results, strict=True)
    ] == [(0, "")] * 4
    acknowledged = {name for told, _ in results for name in told.split()}
    async with open_store(url) as store:
        entries = await read_all(store, "s")
    assert len(entries) == 1000
    check_turns(entries, acknowledged)
