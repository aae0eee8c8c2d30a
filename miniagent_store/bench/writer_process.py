"""One of the processes that append to one session: told what to do on stdin, line by line."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import import_module
from typing import Any

from miniagent_store.bench.peers.base import Peer
from miniagent_store.bench.places import Place
from miniagent_store.bench.writers import turn_of
from miniagent_store.url import StoreURL


async def write(task: dict[str, Any]) -> int:
    """Append turns when told to; how many were refused with an error."""
    peer = _peer(task)
    await peer.open(task["url"])
    refused = 0
    try:
        await peer.last("writers", 1)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        for number in range(task["turns"]):
            try:
                await peer.append("writers", turn_of(task["writer"], number))
            except Exception:  # noqa: BLE001 - each package refuses in its own way
                refused += 1
    finally:
        await peer.close()
    return refused


def _peer(task: dict[str, Any]) -> Peer:
    arguments = dict(task["arguments"])
    if "place" in arguments:
        kind, url, own, tenant, start = arguments["place"]
        arguments["place"] = Place(kind, StoreURL.parse(url), own, tenant, start)
    peer: Peer = getattr(import_module(task["module"]), task["name"])(**arguments)
    return peer


if __name__ == "__main__":
    print(asyncio.run(write(json.loads(sys.stdin.readline()))), flush=True)
