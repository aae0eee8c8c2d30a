"""Stores on each topology: what they leave behind and tell, and how they treat a server that is away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import pytest
import redis

from miniagent_store import (
    BackendUnavailableError,
    DurabilityError,
    Message,
    OutcomeUnknownError,
    StoreError,
    hookimpl,
    open_store,
)
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.proxy import Action, Proxy
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import Server
from tests.redis.topologies.conftest import Place, url_of


class Listener:
    """A plugin that keeps what it is told of connections."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    @hookimpl
    def connection_event(self, event: Any) -> None:
        self.events.append(event)

    @property
    def kinds(self) -> set[str]:
        return {event.kind for event in self.events}


async def test_a_store_leaves_no_task_and_no_connection(place: Place) -> None:
    before = asyncio.all_tasks()
    async with open_store(url_of(place)) as store:
        for number in range(10):
            await store.create(f"s{number}", user_id="ada")
        session = await store.get("s0")
        async with contextlib.aclosing(store.watch("s0", after=session.position)) as watching:
            await store.append("s0", Message.user("hello"))
            async with asyncio.timeout(20):
                assert (await anext(watching)).type == "appended"
        assert len((await store.list(user_id="ada")).items) == 10

    assert asyncio.all_tasks() == before


async def test_listings_and_the_cache_go_over_all_shards(cluster: ClusterGroup) -> None:
    async with open_store(url_of(cluster)) as store:
        ids = {f"s{number}" for number in range(60)}
        await asyncio.gather(*(store.create(each, user_id="ada") for each in ids))
        await store.cache.set_many({f"k{number}": number for number in range(60)})
        used = [node for node in cluster.masters() if node.command("DBSIZE") > 10]

        assert len(used) == 3
        assert {session.id for session in (await store.list(limit=100)).items} == ids
        assert (await store.stats()).sessions == {"session": 60}
        assert await store.cache.get_many(["k1", "k59"]) == {"k1": 1, "k59": 59}
        assert await store.cache.delete("k1")


async def test_a_failover_is_told(sentinels: SentinelGroup, caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener()
    with caplog.at_level(logging.DEBUG, "miniagent_store.redis"):
        async with open_store(url_of(sentinels), plugins=[listener]) as store:
            await store.create("s")
            sentinels.fail_over()
            while "failover" not in listener.kinds:
                await store.append("s", Message.user("hello"))

    told = next(event for event in listener.events if event.kind == "failover")
    assert told.server == f"127.0.0.1:{sentinels.master().port}"
    record = next(each for each in caplog.records if getattr(each, "event", "") == "failover")
    assert record.levelno == logging.WARNING
    assert vars(record)["server"] == told.server
    assert "connected" in listener.kinds


async def test_a_changed_cluster_is_told(cluster: ClusterGroup) -> None:
    listener = Listener()
    async with open_store(url_of(cluster), plugins=[listener]) as store:
        for number in range(12):
            await store.create(f"s{number}")
        cluster.fail_over(cluster.masters()[0])
        number = 0
        while "topology_changed" not in listener.kinds:
            number += 1
            await store.append(f"s{number % 12}", Message.user("hello"))


async def test_an_idle_connection_that_died_is_noticed_before_it_is_needed(server: Server) -> None:
    listener = Listener()
    with Proxy("127.0.0.1", server.port or 0) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}?health_check_interval=500ms&connect_timeout=500ms"
        async with open_store(url, plugins=[listener], socket_timeout=60, deadline=60) as store:
            await store.create("idle")
            await store.count("idle")  # behind what listings are told of it
            proxy.inject(Action.BLACK_HOLE, on="request", times=None)
            async with asyncio.timeout(30):
                while "lost" not in listener.kinds:
                    await asyncio.sleep(0.02)
            proxy.heal()
            # Over the dead connection it would take the whole of socket_timeout.
            async with asyncio.timeout(30):
                await store.append("idle", Message.user("hello"))


async def test_a_server_that_takes_no_connections_is_not_hammered() -> None:
    listener = Listener()
    with Server() as server:
        async with open_store(f"{server.url}?deadline=2", plugins=[listener]) as store:
            await store.create("hammered")
            with redis.Redis(port=server.port or 0, single_connection_client=True) as admin:
                # The only one that is let in is this one.
                admin.config_set("maxclients", 1)
                admin.client_kill_filter(_type="normal", skipme=True)
                results = await asyncio.gather(
                    *(store.append("hammered", Message.user(f"{number}")) for number in range(64)),
                    return_exceptions=True,
                )
                health = await store.health()
                rejected = admin.info("stats")["rejected_connections"]
                admin.config_set("maxclients", 100)
            await store.append("hammered", Message.user("again"))

    assert all(isinstance(result, StoreError) for result in results)
    assert not health.ok
    assert "max number of clients" in health.problems[0]
    assert [event.kind for event in listener.events].count("unreachable") == 1
    # The pauses between tries grow to half a second, however many tasks wait.
    assert 0 < rejected < 30


@pytest.mark.parametrize("topology", ["one", "cluster"])
async def test_fewer_replicas_than_asked_is_told_and_stored_once(
    topology: str, server: Server, cluster: ClusterGroup
) -> None:
    place: Place = server if topology == "one" else cluster
    url = url_of(place, replicas=3, deadline=3)
    async with open_store(url.replace("replicas=3", "replicas=0")) as store:
        await store.create("s")
    async with open_store(url) as store:
        with pytest.raises(DurabilityError) as caught:
            await store.append("s", Message.user("hello"))

        assert caught.value.asked == 3
        assert caught.value.acknowledged == (0 if topology == "one" else 1)
        assert [message.content for message in await store.history("s")] == ["hello"]


async def test_commits_that_are_ready_together_share_a_wait(cluster: ClusterGroup) -> None:
    def waits() -> int:
        lines = [
            line
            for master in cluster.masters()
            for line in master.command("INFO", "commandstats").decode().splitlines()
            if line.startswith("cmdstat_wait:")
        ]
        return sum(int(line.partition("calls=")[2].partition(",")[0]) for line in lines)

    async with open_store(url_of(cluster, replicas="all")) as store:
        ids = [f"s{number}" for number in range(64)]
        await asyncio.gather(*(store.create(each) for each in ids))
        before = waits()
        for _ in range(5):
            await asyncio.gather(*(store.append(each, Message.user("hello")) for each in ids))

        assert 0 < waits() - before < 5 * 64 / 4
        assert all([await store.count(each) == 5 for each in ids])


async def test_all_start_up_nodes_may_be_replaced_while_a_store_is_open() -> None:
    with ClusterGroup() as group:
        async with open_store(url_of(group)) as store:
            for number in range(30):
                await store.append(f"s{number}", Message.user("one"), create=True)
            for master in group.masters():
                group.fail_over(master)
                await store.append("s0", Message.user("between"))
                master.kill()
            for number in range(30):
                await store.append(f"s{number}", Message.user("two"))

            assert [message.content for message in await store.history("s7")] == ["one", "two"]
            assert (await store.stats()).sessions == {"session": 30}


async def test_a_cluster_behind_other_addresses_is_reached_through_a_table() -> None:
    with ClusterGroup() as group:
        ports = [server.port for server in group.servers]
        proxies = [Proxy("127.0.0.1", port) for port in ports if port is not None]
        for proxy in proxies:
            proxy.start()
        try:
            table = ",".join(
                f"127.0.0.1:{port}=127.0.0.1:{proxy.port}"
                for port, proxy in zip(ports, proxies, strict=True)
            )
            async with open_store(
                f"redis+cluster://127.0.0.1:{proxies[0].port}", address_remap=table
            ) as store:
                for number in range(20):
                    await store.append(f"s{number}", Message.user("hello"), create=True)
                assert sum(proxy.connections > 0 for proxy in proxies) >= 3
        finally:
            for proxy in proxies:
                proxy.stop()


async def test_a_shard_that_is_gone_for_good_is_told_and_the_others_serve() -> None:
    with ClusterGroup(replicas=0) as group:
        async with open_store(url_of(group, deadline=2, namespace="n")) as store:
            ids = [f"s{number}" for number in range(12)]
            for each in ids:
                await store.append(each, Message.user("one"), create=True)
            lost = group.owner(group.slot_of(f"n/session:{ids[0]}"))
            alive = [each for each in ids if group.owner(group.slot_of(f"n/session:{each}")) is not lost]
            lost.kill()
            # The first one may have been sent before the loss was seen.
            with pytest.raises((BackendUnavailableError, OutcomeUnknownError)):
                await store.append(ids[0], Message.user("two"))
            with pytest.raises(BackendUnavailableError, match="cannot be reached"):
                await store.append(ids[0], Message.user("three"))
            for each in alive:
                await store.append(each, Message.user("two"))
            lost.start()
