"""Peers keep what they are given, each in its own way; those whose packages are missing are named."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from miniagent_store.bench import peers
from miniagent_store.bench.peers.base import Peer
from miniagent_store.testing.servers import Server

TURN = [{"role": "user", "content": "How are you?"}, {"role": "assistant", "content": "Fine."}]
INSTALLED = [peer for where in ("redis", "sqlite", "memory") for peer in peers.available(where)]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.mark.parametrize("kind", INSTALLED, ids=lambda kind: kind.name)
async def test_a_peer_keeps_what_it_is_given(kind: type[Peer], server: Server, tmp_path: Path) -> None:
    urls = {"redis": server.url, "sqlite": f"sqlite:///{tmp_path / 'peer.db'}", "memory": "memory://"}
    peer = kind()
    await peer.open(urls[kind.where])
    try:
        for _ in range(3):
            await peer.append("a", TURN)
        await asyncio.gather(*(peer.append(f"other-{number}", TURN) for number in range(8)))
        whole, last = await peer.whole("a"), await peer.last("a", 3)
        assert len(whole) == 6
        assert [str(each) for each in last] == [str(each) for each in whole[-3:]]
        assert "How are you?" in str(whole[0])
        assert "Fine." in str(whole[-1])
        await peer.clear("a")
        assert len(await peer.whole("a")) == 0
        assert len(await peer.whole("other-3")) == 2
    finally:
        await peer.close()


def test_what_is_missing_is_named_with_its_packages() -> None:
    there = {peer.name for peer in INSTALLED}
    for name, package in peers.missing():
        assert name not in there
        assert package


def test_versions_are_those_of_all_its_packages() -> None:
    for peer in INSTALLED:
        assert len(peers.versions(peer)) == len(peer.package.split())
