"""Notifications stay in a session's shard, and who waits for them follows its slot."""

from __future__ import annotations

import asyncio
import contextlib
import time

from miniagent_store import Message, open_store
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.servers import Server
from tests.redis.topologies.conftest import url_of

PATIENCE = 60.0


def sent_between_nodes(cluster: ClusterGroup) -> int:
    """How many published messages the nodes have sent each other."""
    found = 0
    for server in cluster.servers:
        for line in server.command("CLUSTER", "INFO").decode().splitlines():
            name, _, value = line.partition(":")
            if name == "cluster_stats_messages_publish_sent":
                found += int(value)
    return found


def heard_on(server: Server, session_id: str) -> bool:
    """Whether somebody on this node waits for a session."""
    channels = server.command("PUBSUB", "SHARDCHANNELS", "*")
    return any(channel.endswith(f"{{{session_id}}}".encode()) for channel in channels)


async def until_heard_on(server: Server, name: str) -> None:
    until = time.monotonic() + PATIENCE
    while not await asyncio.to_thread(heard_on, server, name):
        assert time.monotonic() < until, "nobody listens where the session is"
        await asyncio.sleep(0.05)


async def test_commits_cost_the_other_shards_nothing(cluster: ClusterGroup) -> None:
    before = sent_between_nodes(cluster)
    async with open_store(url_of(cluster)) as store:
        for number in range(60):
            await store.append(f"s{number % 20}", Message.user("Hello"), create=True)
    assert sent_between_nodes(cluster) == before


async def test_who_watches_follows_a_slot_that_moves(cluster: ClusterGroup) -> None:
    async with open_store(cluster.url, namespace="moves") as store:
        session = await store.append("moving", Message.user("1"), create=True)
        record = "moves/session:moving"
        slot = cluster.slot_of(record)
        source = cluster.owner(slot)
        target = next(each for each in cluster.masters() if each is not source)
        async with contextlib.aclosing(store.watch("moving", after=session.position)) as events:
            await store.append("moving", Message.user("2"))
            assert (await anext(events)).type == "appended"
            await until_heard_on(source, record)
            await asyncio.to_thread(cluster.migrate, [slot], source, target)
            await until_heard_on(target, record)
            await store.append("moving", Message.user("3"))
            assert (await anext(events)).type == "appended"


async def test_who_watches_the_store_hears_every_shard(cluster: ClusterGroup) -> None:
    async with open_store(url_of(cluster)) as store, contextlib.aclosing(store.watch()) as changes:
        first = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        names = {f"s{number}" for number in range(40)}
        seen: set[str] = set()
        while not first.done():
            await store.append("first", Message.user("Hello"), create=True)
            await asyncio.wait([first], timeout=0.2)
        await asyncio.gather(*(store.append(name, Message.user("1"), create=True) for name in names))
        async with asyncio.timeout(PATIENCE):
            while not names <= seen:
                seen.add((await anext(changes)).session_id)
