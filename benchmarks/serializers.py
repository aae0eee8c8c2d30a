"""What the envelope costs: encode and decode per chain and size, against the bare codec.

The value is a message of plain types. Each chain and its bare codec (json.dumps, orjson.dumps,
msgpack.packb, pickle.dumps, and their opposites) take turns in interleaved rounds, so that a busy machine
slows all of them alike; the table has the medians, and the difference to the bare codec of the same round.

"Both" is the sum of the two differences, "bytes" what stands around those of the serializer, or around
the compressed ones.

Goals for 400 B, over the bare codec: msgpack 6 µs, msgpack+aesgcm 10 µs.

Run: ``python benchmarks/serializers.py [--rounds 60] [--size 400] [chain …]``.
"""

from __future__ import annotations

import argparse
import gc
import json
import pickle
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgpack  # type: ignore[import-untyped]
import orjson
from rich.console import Console
from rich.table import Table

from miniagent_store.codec import Chain, Codec
from miniagent_store.codec.unsafe import allow_unsafe
from miniagent_store.errors import MissingExtraError
from miniagent_store.keys import Key, Keyring
from miniagent_store.plugins import shared_plugins
from miniagent_store.serializer import Context

SIZES = (100, 400, 4_000, 100_000)
SERIALIZERS = ("json", "orjson", "msgpack")
LAYERS = ("crc32", "hmac", "aesgcm", "gcmsiv", "chacha", "zlib", "zstd", "zstd+aesgcm")
GOALS = {"msgpack+crc32": 6.0, "msgpack+aesgcm": 10.0}
CONTEXT = Context("app", "session", "s1", "entry", "messages", bytes(16))
BARE: dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "json": (lambda value: json.dumps(value).encode(), json.loads),
    "orjson": (orjson.dumps, orjson.loads),
    "msgpack": (msgpack.packb, msgpack.unpackb),
    "pickle": (pickle.dumps, pickle.loads),
}


@dataclass
class Subject:
    """A chain, what it is compared with, and microseconds a call by round."""

    chain: str
    codec: Codec
    encode: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)
    encode_over: list[float] = field(default_factory=list)
    decode_over: list[float] = field(default_factory=list)

    def take_turn(self, value: Any, calls: int) -> None:
        dumps, loads = BARE[self.codec.chain.serializer.name]
        bare, blob = dumps(value), self.codec.encode(value, CONTEXT)
        bare_encode = _time(lambda: dumps(value), calls)
        encode = _time(lambda: self.codec.encode(value, CONTEXT), calls)
        bare_decode = _time(lambda: loads(bare), calls)
        decode = _time(lambda: self.codec.decode(blob, CONTEXT), calls)
        self.encode.append(encode)
        self.decode.append(decode)
        self.encode_over.append(encode - bare_encode)
        self.decode_over.append(decode - bare_decode)

    def bytes_over(self, value: Any) -> int:
        chain = self.codec.chain
        blob, inner = self.codec.encode(value, CONTEXT), chain.serializer.dumps(value, CONTEXT)
        compressors = [layer for layer in chain.layers if layer.kind == "compress"]
        if compressors and compressors[0].name in self.codec.describe(blob).codecs:
            inner = compressors[0].encode(inner, CONTEXT, b"")[1]
        return len(blob) - len(inner)


def message(size: int) -> dict[str, Any]:
    """A message of about `size` bytes."""
    value: dict[str, Any] = {"role": "user", "name": "ada", "tokens": 12, "content": ""}
    # Words, so that compression finds as much as in other texts.
    words, choose = ["the", "agent", "answers", "with", "a", "tool", "call"], random.Random(1)
    room = max(0, size - len(msgpack.packb(value)) - 2)
    value["content"] = " ".join(choose.choices(words, k=room))[:room]
    return value


def subjects(chains: list[str]) -> list[Subject]:
    plugins, keys = shared_plugins(), Keyring([Key.generate()])
    installed = {provider.name for provider in plugins.providers("layer")}
    found: list[Subject] = []
    every = [
        *(f"{name}+{layer}" for name in SERIALIZERS for layer in LAYERS),
        "pickle+hmac",
        "pickle+aesgcm",
    ]
    for text in chains or every:
        if not chains and not set(text.split("+")[1:]) <= installed:
            continue
        try:
            chain = allow_unsafe(Chain.parse(text, plugins), allow_pickle=True, classes=())
        except MissingExtraError as error:
            print(error)
            continue
        found.append(Subject(str(chain), Codec(chain, registry=plugins, keys=keys)))
    return found


def measure(size: int, chains: list[str], rounds: int) -> list[Subject]:
    found, value = subjects(chains), message(size)
    calls = max(3, 200_000 // (size + 1_000))
    for _ in range(rounds):
        # In another order each time, so that none always follows the same one.
        for subject in random.sample(found, len(found)):
            subject.take_turn(value, calls)
    return found


def table(size: int, found: list[Subject]) -> Table:
    result = Table(title=f"{size:,} B: medians in µs, and over the bare codec")
    for head in ("chain", "encode", "over", "decode", "over", "both", "bytes", "goal"):
        result.add_column(head, justify="left" if head == "chain" else "right", no_wrap=True)
    for subject in found:
        over = statistics.median(subject.encode_over), statistics.median(subject.decode_over)
        goal = GOALS.get(subject.chain) if size == 400 else None
        result.add_row(
            subject.chain,
            f"{statistics.median(subject.encode):.1f}",
            f"{over[0]:.1f}",
            f"{statistics.median(subject.decode):.1f}",
            f"{over[1]:.1f}",
            f"{sum(over):.1f}",
            str(subject.bytes_over(message(size))),
            "" if goal is None else f"{goal:.0f} {'met' if max(over) <= goal else 'missed'}",
        )
    return result


def _time(call: Callable[[], object], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - started) / calls * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("chains", nargs="*")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--size", type=int, action="append")
    given = parser.parse_args()
    gc.disable()
    for size in given.size or SIZES:
        Console().print(table(size, measure(size, given.chains, given.rounds)))


if __name__ == "__main__":
    main()
