"""What it costs to find memories by meaning: each index, and LangGraph's own stores on the same work.

Vectors of 384 dimensions in clusters, as those of texts are; queries lie near memories. Everything goes
through the store: a search reads the texts of what it finds. For each index and size:

- recall@10, against a comparison with every vector
- a search, warm: median and 95th percentile; with a filter that a tenth of the memories pass
- adding one memory, and the search after it, which brings the index up to date
- bytes a memory in the index, and seconds until it was filled

Run: ``python benchmarks/memory_search.py [--json FILE] [--sizes 10000,50000] [--only exact,usearch]``.
Vector sets need a Redis that has them (`miniagent_store.testing.servers`): a server is started, or `--url`
names one, whose memories are used again if they are there (``?namespace=`` keeps them apart).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy
from langgraph.store.memory import InMemoryStore
from numpy.typing import NDArray
from recorded import write
from text_table import number, text_table

from miniagent_store import open_store
from miniagent_store.indexing.room import room
from miniagent_store.store.memory.scope import MemoryScope
from miniagent_store.testing.servers import Server, find_servers

DIMENSIONS, CLUSTER = 384, 100
SIZES = (10_000, 50_000, 100_000)
INDEXES = ("exact", "exact:int8", "usearch", "vector-set")
THEIRS = ("LangGraph InMemoryStore", "LangGraph SqliteStore")
QUERIES, ADDED, K = 100, 50, 10
# Theirs take their time.
THEIR_QUERIES, THEIR_ADDED = 20, 5
SEVERAL = 200
HEADS = (
    *("index", "memories", "recall@10", "search ms", "95 %", "filtered ms", "add ms", "search after ms"),
    *("bytes each", "filled s"),
)
Vectors = NDArray[numpy.float32]


class Planted:
    """Vectors of texts that are numbers: "12" is the memory of that number, "q12" a query near it."""

    name: str = f"planted:{DIMENSIONS}"
    dimensions: int | None = DIMENSIONS

    def __init__(self, size: int) -> None:
        random = numpy.random.default_rng(21)
        # Not all directions are equally far apart in a model's space either.
        spread = 1.0 / numpy.sqrt(1.0 + numpy.arange(DIMENSIONS) / 16)
        centres = random.normal(size=(max(size // CLUSTER, 1), DIMENSIONS)) * spread
        of = random.integers(len(centres), size=size)
        noise = random.normal(size=(size, DIMENSIONS)) * spread
        self.memories: Vectors = _unit(centres[of] + 0.7 * noise)
        near = random.integers(size, size=QUERIES)
        noise = random.normal(size=(QUERIES, DIMENSIONS)) * spread
        self.queries: Vectors = _unit(self.memories[near] + 0.5 * _unit(noise))

    def vector(self, text: str) -> Vectors:
        found = re.search(r"(q?)(\d+)$", text)
        assert found
        table = self.queries if found[1] else self.memories
        vector: Vectors = table[int(found[2]) % len(table)]
        return vector

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Sequence[Sequence[float]]:
        return [self.vector(text).tolist() for text in texts]

    def nearest(self) -> list[set[str]]:
        """The truth: ids of the nearest to each query."""
        return [
            {f"m{each}" for each in numpy.argpartition(-(self.memories @ query), K)[:K]}
            for query in self.queries
        ]


def _unit(vectors: NDArray[Any]) -> Vectors:
    unit: Vectors = (vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)).astype(numpy.float32)
    return unit


def metadata_of(at: int) -> dict[str, Any]:
    return {"topic": f"topic {at % 10}", "year": 2000 + at % 25}


async def timed(work: Callable[[], Awaitable[Any]], into: list[float]) -> Any:
    started = time.perf_counter()
    result = await work()
    into.append((time.perf_counter() - started) * 1e3)
    return result


# Ours


async def ours(name: str, url: str, planted: Planted) -> dict[str, Any]:
    async with open_store(url, deadline=60) as store:
        memory = store.memory("bench", embedder=planted, index=name)
        size = len(planted.memories)
        if await memory.get(f"m{size - 1}") is None:
            for start in range(0, size, SEVERAL):
                rows = range(start, min(start + SEVERAL, size))
                await memory.add_many(
                    {"said": str(at), "id": f"m{at}", "metadata": metadata_of(at)} for at in rows
                )
        started = time.perf_counter()
        await _filled(memory, planted)
        filled = time.perf_counter() - started
        figures = await _searches(lambda at, filter: _search(memory, planted, at, filter), planted)
        added: list[float] = []
        after: list[float] = []
        for at in range(ADDED):
            await timed(lambda at=at: memory.add(str(at), id=f"new{at}"), added)  # type: ignore[misc]
            await timed(lambda at=at: _search(memory, planted, at, None), after)  # type: ignore[misc]
        await memory.delete(*(f"new{at}" for at in range(ADDED)))
        each = room.bytes / size
        if name == "vector-set":
            executor, keys = store._core.backend.executor, store._core.backend.keys  # type: ignore[attr-defined]
            each = await executor.execute("MEMORY", "USAGE", keys.vectors("memory/bench")[0]) / size
        return {
            "index": name,
            "memories": size,
            **figures,
            "add": statistics.median(added),
            "search_after": statistics.median(after),
            "bytes": each,
            "filled": filled,
        }


async def _filled(memory: MemoryScope, planted: Planted) -> None:
    """Search until the index itself answers, not what answers meanwhile."""
    while True:
        await _search(memory, planted, 0, None)
        index = memory._indexed._index
        if getattr(index, "_quick", None) is None:
            return
        await asyncio.sleep(0.1)


async def _search(memory: MemoryScope, planted: Planted, at: int, filter: Any) -> list[str]:
    vector = planted.queries[at].tolist()
    found = await memory.search(vector, k=K, filter=filter, mode="vector")
    return [each.id for each in found]


async def _searches(
    search: Callable[[int, Any], Awaitable[list[str]]], planted: Planted, queries: int = QUERIES
) -> dict[str, Any]:
    plain: list[float] = []
    filtered: list[float] = []
    found = 0
    for at in range(3):
        await search(at, {"topic": "topic 3"})
    for at, truth in enumerate(planted.nearest()[:queries]):
        found += len(truth & set(await timed(lambda at=at: search(at, None), plain)))  # type: ignore[misc]
        await timed(lambda at=at: search(at, {"topic": "topic 3"}), filtered)  # type: ignore[misc]
    return {
        "recall": found / (K * queries),
        "search": statistics.median(plain),
        "search_95": statistics.quantiles(plain, n=20)[-1],
        "filtered": statistics.median(filtered),
    }


# Theirs


@contextlib.contextmanager
def their_store(name: str, planted: Planted) -> Iterator[Any]:
    index: Any = {
        "dims": DIMENSIONS,
        "embed": lambda texts: [planted.vector(text).tolist() for text in texts],
        "fields": ["text"],
    }
    if name == "LangGraph InMemoryStore":
        yield InMemoryStore(index=index)
        return
    from langgraph.store.sqlite import SqliteStore

    with SqliteStore.from_conn_string(":memory:", index=index) as store:
        store.setup()
        yield store


async def theirs(name: str, planted: Planted) -> dict[str, Any]:
    with their_store(name, planted) as store:
        space = ("bench",)
        started = time.perf_counter()
        for at in range(len(planted.memories)):
            store.put(space, f"m{at}", {"text": str(at), **metadata_of(at)})
        filled = time.perf_counter() - started

        async def search(at: int, filter: Any) -> list[str]:
            found = store.search(space, query=f"q{at}", limit=K, filter=filter)
            return [each.key for each in found]

        figures = await _searches(search, planted, THEIR_QUERIES)
        added: list[float] = []
        after: list[float] = []

        async def put(at: int) -> None:
            store.put(space, f"new{at}", {"text": str(at)})

        for at in range(THEIR_ADDED):
            await timed(lambda at=at: put(at), added)  # type: ignore[misc]
            await timed(lambda at=at: search(at, None), after)  # type: ignore[misc]
        return {
            "index": name,
            "memories": len(planted.memories),
            **figures,
            "add": statistics.median(added),
            "search_after": statistics.median(after),
            "bytes": None,
            "filled": filled,
        }


def row(figures: dict[str, Any]) -> list[str]:
    if "problem" in figures:
        return [
            figures["index"],
            number(figures["memories"]),
            figures["problem"],
            *["–"] * (len(HEADS) - 3),
        ]
    times = (figures[each] for each in ("search", "search_95", "filtered", "add", "search_after"))
    each = figures["bytes"]
    return [
        figures["index"],
        number(figures["memories"]),
        f"{figures['recall']:.3f}",
        *(number(each, 2) for each in times),
        "–" if each is None else number(each),
        "–" if figures["filled"] is None else number(figures["filled"], 1),
    ]


def measure(name: str, url: str | None, size: int) -> dict[str, Any]:
    planted = Planted(size)
    if name in THEIRS:
        try:
            return asyncio.run(theirs(name, planted))
        except AttributeError as error:
            # Python's own sqlite3 is often built without loading of extensions.
            return {"index": name, "memories": size, "problem": str(error).rpartition(" ")[2]}
    if name != "vector-set":
        return asyncio.run(ours(name, "memory://", planted))
    if url is not None:
        return asyncio.run(ours(name, f"{url}{'&' if '?' in url else '?'}namespace=bench{size}", planted))
    with Server(find_servers()["falkordb"]) as server:
        return asyncio.run(ours(name, server.url, planted))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--only", default=",".join((*INDEXES, *THEIRS)))
    parser.add_argument("--url", help="of a Redis that has vector sets")
    parser.add_argument(
        "--json", type=Path, help="write the results to this file, beside what stands there"
    )
    given = parser.parse_args()
    done: list[dict[str, Any]] = []
    for size in map(int, given.sizes.split(",")):
        for name in given.only.split(","):
            if name in THEIRS and size > SIZES[0]:
                continue  # minutes of comparing in plain Python say no more
            done.append(measure(name, given.url, size))
            print(text_table(HEADS, [row(done[-1])]), flush=True)
            if given.json is not None:
                keep(given.json, done[-1])
    print()
    print(text_table(HEADS, [row(each) for each in done]))


def keep(path: Path, figures: dict[str, Any]) -> None:
    """Write figures in the place of those of the same index and size."""
    standing = json.loads(path.read_text())["indexes"] if path.exists() else []
    new = (figures["index"], figures["memories"])
    kept = [each for each in standing if (each["index"], each["memories"]) != new]
    order = [*INDEXES, *THEIRS]
    rows = sorted([*kept, figures], key=lambda each: (each["memories"], order.index(each["index"])))
    write(path, "Redis 8.2 for vector sets", {"dimensions": DIMENSIONS, "indexes": rows})


if __name__ == "__main__":
    main()
