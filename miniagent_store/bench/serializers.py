"""What it costs to make bytes of a message and the other way round, by chain and size.

Each chain and its bare codec (json, orjson, msgpack) take turns, and the ratio is to the bare codec.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]
import orjson

from miniagent_store.bench.figures import OURS
from miniagent_store.bench.rounds import Run
from miniagent_store.bench.texts import words
from miniagent_store.codec.chain import Chain
from miniagent_store.codec.codec import Codec
from miniagent_store.errors import ConfigurationError
from miniagent_store.keys.key import Key
from miniagent_store.keys.keyring import Keyring
from miniagent_store.plugins import shared_plugins
from miniagent_store.serializer import Context

AREA = "serializers"
ENCODE, DECODE = "encode", "decode"
_CONTEXT = Context("app", "session", "s1", "entry", "messages", bytes(16))
_BARE: dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "json": (lambda value: json.dumps(value).encode(), json.loads),
    "orjson": (orjson.dumps, orjson.loads),
    "msgpack": (msgpack.packb, msgpack.unpackb),
}


async def measure_serializers(run: Run) -> None:
    """Microseconds to encode and decode messages, as `Figure.length` bytes long."""
    for size in run.plan.sizes:
        run.tell(f"serializers: {size:,} B")
        value = {"role": "user", "content": words(max(0, size - 30))}
        calls = max(3, 100_000 // (size + 1_000))
        ways: dict[tuple[str, str], Callable[[], object]] = {}
        for codec in _codecs(run):
            chain = str(codec.chain)
            dumps, loads = _BARE[codec.chain.serializer.name]
            blob, bare = codec.encode(value, _CONTEXT), dumps(value)
            ways[chain, ENCODE] = lambda codec=codec: codec.encode(value, _CONTEXT)
            ways[chain, DECODE] = lambda codec=codec, blob=blob: codec.decode(blob, _CONTEXT)
            ways[f"bare {codec.chain.serializer.name}", ENCODE] = lambda dumps=dumps: dumps(value)
            ways[f"bare {codec.chain.serializer.name}", DECODE] = lambda loads=loads, bare=bare: loads(bare)
        _contest(run, ways, size, calls)


def _contest(run: Run, ways: dict[tuple[str, str], Callable[[], object]], size: int, calls: int) -> None:
    samples: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    for number in range(1 + run.plan.rounds):
        for way in run.random.sample(list(ways), len(ways)):
            took = _time(ways[way], calls)
            if number:  # the first round warms up
                samples[way].append(took)
    for chain, operation in ways:
        bare = f"bare {chain.partition('+')[0]}"
        run.add(
            {chain: samples[chain, operation], bare: samples.get((bare, operation), [])}
            if not chain.startswith("bare ")
            else {chain: samples[chain, operation]},
            area=AREA,
            place=chain,
            unit="µs",
            baseline=bare,
            subject=OURS,
            operation=operation,
            length=size,
        )


def _codecs(run: Run) -> list[Codec]:
    plugins, keys = shared_plugins(), Keyring([Key.generate()])
    found = []
    for text in run.plan.chains:
        try:
            found.append(Codec(Chain.parse(text, plugins), registry=plugins, keys=keys))
        except ConfigurationError as problem:
            run.note(f"serializers: {text} was left out: {problem}")
    return found


def _time(call: Callable[[], object], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls * 1e6
