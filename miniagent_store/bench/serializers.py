"""What it costs to make bytes of a message and the other way round, by chain and size.

Each chain and its bare codec (json, orjson, msgpack) take turns, and the ratio is to the bare codec.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgpack  # type: ignore[import-untyped]
import orjson

from miniagent_store.bench.figures import BY_HAND, OURS
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
        _contest(run, _ways(_codecs(run), value), size, calls=max(3, 100_000 // (size + 1_000)))


def _ways(codecs: list[Codec], value: Any) -> dict[tuple[str, str], Callable[[], object]]:
    """What takes turns, by chain and operation."""
    ways: dict[tuple[str, str], Callable[[], object]] = {}
    for codec in codecs:
        chain, bare = str(codec.chain), f"bare {codec.chain.serializer.name}"
        dumps, loads = _BARE[codec.chain.serializer.name]
        ways[chain, ENCODE] = partial(codec.encode, value, _CONTEXT)
        ways[chain, DECODE] = partial(codec.decode, codec.encode(value, _CONTEXT), _CONTEXT)
        ways[bare, ENCODE] = partial(dumps, value)
        ways[bare, DECODE] = partial(loads, dumps(value))
    return ways


def _contest(run: Run, ways: dict[tuple[str, str], Callable[[], object]], size: int, calls: int) -> None:
    samples: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    for number in range(1 + run.plan.rounds):
        for way in run.random.sample(list(ways), len(ways)):
            took = _time(ways[way], calls)
            if number:  # the first round warms up
                samples[way].append(took)
    for chain, operation in ways:
        bare = f"bare {chain.partition('+')[0]}"
        keep = partial(run.add, area=AREA, place=chain, unit="µs", length=size)
        if (bare, operation) in samples:
            pair = {operation: samples[chain, operation], BY_HAND: samples[bare, operation]}
            keep(pair, baseline=BY_HAND, subject=OURS)
        else:
            keep({operation: samples[chain, operation]}, baseline=None, subject=BY_HAND)


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
