"""What each call costs on the server's side: round trips, bytes, server CPU, against hand-written code.

The floor is what a careful person writes by hand with redis-py: ``orjson.dumps`` and one pipeline of RPUSH
and EXPIRE, or LRANGE and ``orjson.loads``. Rounds are interleaved on one server; told are medians. Server
CPU is that of the whole process by its INFO, reading from sockets and writing to them included; round trips
are how often the server read from a socket.

Run: ``python benchmarks/server_cost.py [--rounds 7] [--json FILE]``; it starts a server of its own (see
`miniagent_store.testing.servers`).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgpack
import orjson
import redis.asyncio
from recorded import server_version, write
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from server_meter import Meter, Spent
from text_table import number, text_table

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.testing.servers import Server

QUESTION = {"role": "user", "content": "x" * 370}
ANSWER = {"role": "assistant", "content": "y" * 370}
TTL = 3600
TASKS = 64
Work = Callable[[int], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call costs on the server's side.

    Attributes:
        trips: round trips of a lone caller.
        received, sent: bytes, as the server sees them.
        cpu: microseconds of the server.
        floor_cpu: the same of hand-written code; None where nobody would write it by hand.
        ratio: of the two, the median of the rounds.
    """

    trips: float
    received: float
    sent: float
    cpu: float
    floor_cpu: float | None = None
    ratio: float | None = None


class Floor:
    """The hand-written store."""

    def __init__(self, url: str) -> None:
        self.client = redis.asyncio.Redis.from_url(
            url, max_connections=TASKS, retry=Retry(NoBackoff(), 0), protocol=3
        )

    async def append(self, key: str) -> None:
        async with self.client.pipeline(transaction=False) as pipe:
            pipe.rpush(key, orjson.dumps(QUESTION), orjson.dumps(ANSWER))
            pipe.expire(key, TTL)
            await pipe.execute()

    async def last(self, key: str, n: int) -> list[Any]:
        return [orjson.loads(each) for each in await self.client.lrange(key, -n, -1)]


async def alone(work: Work, times: int) -> None:
    for number_ in range(times):
        await work(number_)


async def crowd(work: Work, times: int) -> None:
    async def one(task: int) -> None:
        for _ in range(times // TASKS):
            await work(task)

    await asyncio.gather(*(one(task) for task in range(TASKS)))


async def measure(server: Server, rounds: int) -> dict[str, Cost]:
    """The costs of calls, by what is called."""
    meter, floor = Meter(server), Floor(server.url)
    url = f"{server.url}?ttl={TTL}"
    async with open_store(url) as store, open_store(url) as other:
        await prepare(store, floor)
        question, answer = Message(**QUESTION), Message(**ANSWER)

        async def turn(_: int) -> None:
            async with store.turn("turn", last=20) as begun:
                begun.append(question)
                begun.append(answer)

        async def lock(_: int) -> None:
            async with store.lock("mutex"):
                pass

        events = aiter(other.watch("watched"))

        async def event(_: int) -> None:
            await store.append("watched", question, answer)
            await anext(events)

        await _warm(store, events, question)
        calls: dict[str, tuple[Callable[[Work, int], Awaitable[None]], int, Work, Work | None]] = {
            "append a turn, one caller": (
                alone,
                400,
                lambda _: store.append("lone", question, answer),
                lambda _: floor.append("f-lone"),
            ),
            f"append a turn, {TASKS} tasks": (
                crowd,
                TASKS * 30,
                lambda task: store.append(f"c{task}", question, answer),
                lambda task: floor.append(f"f-c{task}"),
            ),
            "turn: lock, last 20, commit": (alone, 200, turn, None),
            "get": (alone, 300, lambda _: store.get("r10000"), None),
            "history, last 20 of 10,000": (
                alone,
                300,
                lambda _: store.history("r10000", last=20),
                lambda _: floor.last("f-r10000", 20),
            ),
            "history, all of 1,000": (
                alone,
                30,
                lambda _: store.history("r1000"),
                lambda _: floor.last("f-r1000", 1_000),
            ),
            "list, 50 of a user's 500": (alone, 60, lambda _: store.list(user_id="ada", limit=50), None),
            "lock: acquire, release": (alone, 200, lock, None),
            "cache, a hit of 400 B": (alone, 300, lambda _: store.cache.get("hit"), None),
            "append a turn that is watched": (alone, 200, event, None),
        }
        seen: dict[str, list[tuple[Spent, Spent | None]]] = {name: [] for name in calls}
        for _ in range(rounds):
            for name, (how, times, ours, theirs) in calls.items():
                await how(ours, times // 10 + TASKS)
                spent = await _spent(meter, how, ours, times)
                base = None
                if theirs is not None:
                    await how(theirs, times // 10 + TASKS)
                    base = await _spent(meter, how, theirs, times)
                seen[name].append((spent, base))
        await events.aclose()
    await floor.client.aclose()
    return {name: _cost(pairs, calls[name][1]) for name, pairs in seen.items()}


async def _spent(
    meter: Meter, how: Callable[[Work, int], Awaitable[None]], work: Work, times: int
) -> Spent:
    meter.start()
    await how(work, times)
    return meter.stop()


def _cost(pairs: list[tuple[Spent, Spent | None]], times: int) -> Cost:
    def median(of: Callable[[Spent], float]) -> float:
        return statistics.median(of(spent) for spent, _ in pairs) / times

    floors = [(spent, base) for spent, base in pairs if base is not None]
    return Cost(
        trips=median(lambda spent: spent.reads),
        received=median(lambda spent: spent.received),
        sent=median(lambda spent: spent.sent),
        cpu=median(lambda spent: spent.cpu),
        floor_cpu=statistics.median(base.cpu for _, base in floors) / times if floors else None,
        ratio=statistics.median(spent.cpu / base.cpu for spent, base in floors) if floors else None,
    )


async def prepare(store: SessionStore, floor: Floor) -> None:
    """The sessions that are appended to and read."""
    for name in ("lone", "turn", "watched", *(f"c{task}" for task in range(TASKS))):
        await store.append(name, Message(**QUESTION), create=True)
    for length in (1_000, 10_000):
        for _ in range(length // 500):
            await store.append(f"r{length}", *[Message(**QUESTION)] * 500, create=True)
            await floor.client.rpush(f"f-r{length}", *[orjson.dumps(QUESTION)] * 500)
    await asyncio.gather(*(store.create(f"u{each}", user_id="ada") for each in range(500)))
    await store.cache.set("hit", QUESTION)


async def _warm(store: SessionStore, events: Any, question: Message) -> None:
    """Until the watch is under way: its first event."""
    first = asyncio.ensure_future(anext(events))
    while not first.done():
        await store.append("watched", question)
        await asyncio.wait([first], timeout=0.05)


async def memory(server: Server, messages: int = 1_000) -> dict[str, float]:
    """Bytes a message beyond its payload: ours, and of a plain list of JSON texts."""
    floor = Floor(server.url)
    async with open_store(server.url) as store:
        await store.create("memory")
        for _ in range(messages // 2):
            await store.append("memory", Message(**QUESTION), Message(**ANSWER))
            await floor.append("f-memory")
    await floor.client.aclose()
    keys = [key for key in _keys(server) if b"memory" in key]
    ours = sum(server.command("MEMORY", "USAGE", key, "SAMPLES", 0) for key in keys if key != b"f-memory")
    theirs = server.command("MEMORY", "USAGE", "f-memory", "SAMPLES", 0)
    turns = messages / 2
    return {
        "messages": messages,
        "keys": len(keys) - 1,
        "payload": _packed() / 2,
        "ours": (ours - turns * _packed()) / messages,
        "floor": (theirs - turns * sum(len(orjson.dumps(each)) for each in (QUESTION, ANSWER))) / messages,
    }


def _packed() -> int:
    """Bytes of a turn, packed as densely as the store packs it."""
    return sum(len(msgpack.packb(each)) for each in (QUESTION, ANSWER))


def _keys(server: Server) -> list[bytes]:
    cursor, keys = b"0", []
    while True:
        cursor, found = server.command("SCAN", cursor, "COUNT", 1_000)
        keys += found
        if cursor == b"0":
            return keys


def rows(costs: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """What `HEADS` name, a call a row."""
    return [
        [
            name,
            number(cost["trips"], 2),
            number(cost["received"]),
            number(cost["sent"]),
            number(cost["cpu"], 1),
            "–" if cost["floor_cpu"] is None else number(cost["floor_cpu"], 1),
            "–" if cost["ratio"] is None else f"{cost['ratio']:.2f}",
        ]
        for name, cost in costs.items()
    ]


HEADS = ["call", "round trips", "bytes in", "bytes out", "server CPU µs", "by hand µs", "ratio"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    given = parser.parse_args()
    with Server() as server:
        costs = {name: asdict(cost) for name, cost in asyncio.run(measure(server, given.rounds)).items()}
        held = asyncio.run(memory(server))
        version = server_version(server)
    print(text_table(HEADS, rows(costs)))
    print(
        f"\nmemory beyond the payload of {held['payload']:.0f} B, at {held['messages']:,} messages: "
        f"{held['ours']:.1f} B a message in {held['keys']} keys; a plain list {held['floor']:.1f} B"
    )
    if given.json is not None:
        write(given.json, version, {"calls": costs, "memory": held})


if __name__ == "__main__":
    main()
