"""What is kept of a log is what stands there, whatever was done to the session since it was read."""

import random
from typing import Any

import pytest

from miniagent_store import Entry, SessionStore, open_store
from miniagent_store.integrations import kept_log
from miniagent_store.integrations.kept_log import KeptLogs

CHANGES = (
    "append",
    "append",
    "append",
    "redact",
    "trim",
    "cut",
    "rewind",
    "pop",
    "clear",
    "state",
    "delete",
)


def number_of(entry: Entry) -> Any:
    return entry.value["number"]


async def change(store: SessionStore, chance: random.Random, number: int) -> None:
    """Change a session at random, or delete it."""
    session = await store.append("s", {"number": number}, create=True)
    last = session.position.seq("messages")
    first = last - session.message_count + 1
    seq = chance.randint(first, last)
    what = chance.choice(CHANGES)
    if what == "append":
        await store.append("s", *({"number": [number, each]} for each in range(chance.randint(0, 3))))
    elif what == "redact":
        await store.redact("s", seq, reason="test")
    elif what == "trim":
        await store.trim("s", before=seq)
    elif what == "cut":
        await store.replace("s", [{"number": -number}], from_seq=seq)
    elif what == "rewind":
        await store.rewind("s", to=seq)
    elif what == "pop":
        await store.pop("s")
    elif what == "clear":
        await store.clear("s")
    elif what == "state":
        await store.state("s").set("kept", number)
    else:
        await store.delete("s")


@pytest.mark.parametrize("changes", [120, pytest.param(3000, marks=pytest.mark.slow)])
async def test_kept_is_what_stands(url: str, changes: int) -> None:
    chance = random.Random(url)
    # Some read often, some so seldom that the session has forgotten what was changed since.
    readers = {every: KeptLogs(number_of, state=["kept"]) for every in (1, 2, 7, 40)}
    async with open_store(url) as store:
        for number in range(1, changes + 1):
            await change(store, chance, number)
            truth = await KeptLogs(number_of, state=["kept"]).read(store, "s")
            for every, reader in readers.items():
                if number % every == 0:
                    assert await reader.read(store, "s") == truth


async def test_further_behind_than_a_session_remembers(url: str) -> None:
    logs = KeptLogs(number_of)
    async with open_store(url) as store:
        await store.append("s", *({"number": each} for each in range(10)), create=True)
        await logs.read(store, "s")
        for number in range(40):
            await store.trim("s", before=8)
            await store.append("s", {"number": number})
            await store.pop("s")
        read = await logs.read(store, "s")
        assert read is not None
        assert [number for _, number in read.items] == [7, 8, 9]


async def test_how_much_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_log, "KEPT_ENTRIES", 10)
    async with open_store("memory://") as store:
        logs = KeptLogs(number_of)
        for name in "abc":
            await store.append(name, *({"number": each} for each in range(4)), create=True)
            await logs.read(store, name)
        assert list(logs._kept) == ["b", "c"]
        await store.append("b", *({"number": each} for each in range(20)))
        assert len((await logs.read(store, "b") or pytest.fail("lost")).items) == 24
        assert list(logs._kept) == ["b"]
        await store.delete("b")
        assert await logs.read(store, "b") is None
        assert (list(logs._kept), logs._entries) == ([], 0)
