"""What settings change: appending a turn (2 messages of 400 B) under each, against the default.

Rounds are interleaved; told are medians of the ratios: the time of a lone caller's append, and the turns a
second of 64 tasks, each with a session of its own. uvloop is tried where it is installed.

Run: ``python benchmarks/tuning.py [--rounds 5] [--json FILE]``; it starts servers of its own (see
`miniagent_store.testing.servers`).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recorded import server_version, write
from text_table import number, text_table

from miniagent_store import Key, Keyring, Message, open_store
from miniagent_store.testing.servers import HOST, Server
from miniagent_store.testing.waiting import wait_until

TASKS = 64
TEXT = "The quick brown fox jumps over the lazy dog, and then it does so once more. " * 5
TURN = (Message.user(TEXT), Message.assistant(TEXT))
DEFAULTS = {"Redis": "default", "SQLite": "synchronous=FULL"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to open a store."""

    place: str
    name: str
    url: str
    options: Mapping[str, Any] = field(default_factory=dict)
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a setting changes.

    Attributes:
        lone: microseconds of a lone caller's append.
        rate: turns a second of many tasks.
        lone_ratio, rate_ratio: by the default's of the same round.
    """

    place: str
    name: str
    lone: float
    rate: float
    lone_ratio: float
    rate_ratio: float


def settings(server: Server, by_socket: Server, folder: Path) -> list[Setting]:
    """What is compared, the default of each place first."""
    url, ring = server.url, Keyring([Key.generate()])
    found = [
        Setting("Redis", "default", url),
        Setting("Redis", "serializer=orjson", url, {"serializer": "orjson"}),
        Setting("Redis", "msgpack+zstd", url, {"serializer": "msgpack+zstd"}),
        Setting("Redis", "msgpack+encrypted", url, {"serializer": "msgpack+encrypted", "keyring": ring}),
        Setting("Redis", "ttl=1h, sliding", url, {"ttl": "1h"}),
        Setting("Redis", "ttl=1h, ttl_mode=absolute", url, {"ttl": "1h", "ttl_mode": "absolute"}),
        Setting("Redis", "replicas=1", url, {"replicas": 1}),
        Setting("Redis", "unix socket", by_socket.url),
    ]
    if find_spec("uvloop") is not None:
        found.append(Setting("Redis", "uvloop", url, new_loop=import_module("uvloop").new_event_loop))
    return found + [
        Setting("SQLite", f"synchronous={mode}", f"sqlite:///{folder / mode}.db", {"synchronous": mode})
        for mode in ("FULL", "NORMAL", "OFF")
    ]


async def once(setting: Setting, round_: int) -> tuple[float, float]:
    """Microseconds of a lone append, and turns a second of many tasks."""
    async with open_store(setting.url, **setting.options) as store:
        # The chains that some settings write cannot be read by others.
        start = f"{setting.name}-{round_}"
        names = [f"{start}-{task}" for task in range(TASKS)]
        for name in names:
            await store.append(name, *TURN, create=True)
        took: list[float] = []
        for _ in range(200):
            began = time.perf_counter()
            await store.append(names[0], *TURN)
            took.append(time.perf_counter() - began)

        async def one(name: str) -> None:
            for _ in range(20):
                await store.append(name, *TURN)

        await asyncio.gather(*map(one, names))
        began = time.perf_counter()
        await asyncio.gather(*map(one, names))
        rate = TASKS * 20 / (time.perf_counter() - began)
        for name in names:
            await store.delete(name)
    return statistics.median(took) * 1e6, rate


def measure(chosen: list[Setting], rounds: int) -> list[Seen]:
    """All settings, in interleaved rounds."""
    runs: dict[str, list[tuple[float, float]]] = {setting.name: [] for setting in chosen}
    for round_ in range(rounds):
        for setting in chosen:
            with asyncio.Runner(loop_factory=setting.new_loop) as runner:
                runs[setting.name].append(runner.run(once(setting, round_)))
    found = []
    for setting in chosen:
        pairs = list(zip(runs[setting.name], runs[DEFAULTS[setting.place]], strict=True))
        found.append(
            Seen(
                setting.place,
                setting.name,
                statistics.median(lone for (lone, _), _ in pairs),
                statistics.median(rate for (_, rate), _ in pairs),
                statistics.median(lone / base for (lone, _), (base, _) in pairs),
                statistics.median(rate / base for (_, rate), (_, base) in pairs),
            )
        )
    return found


HEADS = ["setting", "on", "lone append µs", "× default", f"{TASKS} tasks, turns/s", "× default"]


def rows(settings: list[Mapping[str, Any]]) -> Iterator[list[str]]:
    """What `HEADS` name, a setting a row."""
    for each in settings:
        yield [
            f"`{each['name']}`" if "=" in each["name"] or "+" in each["name"] else each["name"],
            each["place"],
            number(each["lone"]),
            f"{each['lone_ratio']:.2f}",
            number(each["rate"]),
            f"{each['rate_ratio']:.2f}",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Server() as server,
        Server(unix=True) as by_socket,
        Server(config={"replicaof": f"{HOST} {server.port}"}) as replica,
    ):
        wait_until(lambda: None if replica.command("ROLE")[3] == b"connected" else "the replica", 30.0)
        found = [asdict(each) for each in measure(settings(server, by_socket, Path(folder)), given.rounds)]
        version = server_version(server)
    print(text_table(HEADS, list(rows(found))))
    if given.json is not None:
        write(given.json, version, {"settings": found})


if __name__ == "__main__":
    main()
