"""What a turn costs from `Message` to stored bytes: microseconds of CPU for 2 messages of 400 B, by chain.

Interleaved rounds with the bare work: two calls of `msgpack.packb`, and of the chain's own C functions. Of
many rounds the quickest counts, since whatever else a machine does only makes it slower.

Run: ``python benchmarks/encoding.py [--rounds 60] [CHAIN …]``.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

import msgpack

from miniagent_store import Message
from miniagent_store.codec.chain import Chain
from miniagent_store.codec.codec import Codec
from miniagent_store.keys.key import Key
from miniagent_store.keys.keyring import Keyring
from miniagent_store.options import StoreOptions
from miniagent_store.plugins import shared_plugins
from miniagent_store.store.coding import Coding
from miniagent_store.store.draft import draft_entry

CHAINS = ("msgpack", "orjson", "msgpack+aesgcm", "msgpack+zstd", "msgpack+zstd+aesgcm")
CALLS = 300
BYTES = 370
WORDS = ("the", "agent", "answered", "with", "what", "its", "tools", "found", "in", "an", "archive")


def text(seed: int) -> str:
    """Words in an order of their own, which shrink as prose does."""
    chosen = random.Random(seed)
    return " ".join(chosen.choice(WORDS) + str(chosen.randrange(100)) for _ in range(BYTES))[:BYTES]


def quickest(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Microseconds of CPU of each, the least of all rounds."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.process_time_ns()
            for _ in range(CALLS):
                call()
            best[name] = min(best[name], (time.process_time_ns() - started) / CALLS / 1000)
    return best


def stages(chain: str) -> dict[str, Callable[[], object]]:
    """What stands on the way of a turn.

    "whole" is all of what `append` does. Where somebody looks on, or messages have ids or times of their
    own, it takes the way over "draft" and "changes".
    """
    plugins = shared_plugins()
    keys = Keyring([Key(bytes(range(32)), label="benchmark")])
    parsed = Chain.parse(chain, plugins)
    codec = Codec(parsed, registry=plugins, keys=keys if parsed.keyed else None)
    coding = Coding(codec, StoreOptions())
    question, answer = text(1), text(2)
    made = [Message.user(question), Message.assistant(answer)]
    entries = [draft_entry("messages", message) for message in made]
    plain = [message.to_dict() for message in made]
    place = coding.entry_context("session-1", "messages", bytes(12))

    def whole() -> object:
        messages = (Message.user(question), Message.assistant(answer))
        return coding.encode_messages("session-1", "messages", messages, 0)

    return {
        "packb": lambda: [msgpack.packb(each) for each in plain],
        "Message": lambda: (Message.user(question), Message.assistant(answer)),
        "draft": lambda: [draft_entry("messages", message) for message in made],
        "codec": lambda: [codec.encode(each, place) for each in plain],
        "changes": lambda: coding.encode_changes("session-1", entries, 0, {}),
        "whole": whole,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chains", nargs="*")
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    head = True
    for chain in given.chains or CHAINS:
        best = quickest(stages(chain), given.rounds)
        if head:
            print(f"{'µs of CPU for a turn of 2':26}" + "".join(f"{name:>10}" for name in best))
            head = False
        print(f"{chain:26}" + "".join(f"{each:10.2f}" for each in best.values()))


if __name__ == "__main__":
    main()
