"""Health: what is wrong with a server is found, with its cure; what was evicted is never half a session."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from miniagent_backends.redis.keys import Keys
from miniagent_backends.redis.rights import acl_rules
from miniagent_store import (
    CapacityError,
    Finding,
    Health,
    Message,
    SessionDamagedError,
    SessionNotFoundError,
    open_store,
)
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.conformance import eventually
from miniagent_store.testing.servers import Server, find_servers
from tests.redis.conftest import EACH_SERVER, NewServer

SERVERS = find_servers()
ALL = pytest.mark.parametrize("name", EACH_SERVER)


async def health_of(url: str, **options: Any) -> Health:
    async with open_store(url, **options) as store:
        return await store.health()


def found(health: Health, text: str) -> Finding:
    """The finding that says this."""
    findings = [each for each in health.findings if text in each.what]
    assert len(findings) == 1, [str(each) for each in health.findings]
    assert findings[0].cure
    return findings[0]


@contextmanager
def configured(server: Server, **settings: str) -> Iterator[None]:
    """Settings of a running server for as long as the ``with`` lasts."""
    names = [name.replace("_", "-") for name in settings]
    before = [server.command("CONFIG", "GET", name)[1] for name in names]
    for name, value in zip(names, settings.values(), strict=True):
        server.command("CONFIG", "SET", name, value)
    try:
        yield
    finally:
        for name, value in zip(names, before, strict=True):
            server.command("CONFIG", "SET", name, value)


@ALL
@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_server_as_it_should_be(name: str, protocol: int, new_server: NewServer) -> None:
    config = {"appendonly": "yes", "appendfsync": "always", "maxmemory": "100mb"}
    server = new_server(SERVERS[name], config=config)

    health = await health_of(server.url, protocol=protocol)

    assert health.ok
    assert health.problems == ()
    assert {finding.level for finding in health.findings} == {"info"}
    for text in (
        "a round trip takes",
        "is a master",
        "what they write can be read back",
        "nothing is evicted; a full server refuses writes",
        "appendfsync always: what was acknowledged is on its disk",
    ):
        found(health, text)
    assert all(f"127.0.0.1:{server.port}" in finding.what for finding in health.findings)
    assert health.to_dict()["findings"][0].keys() == {"level", "what", "cure", "check"}
    assert server.command("DBSIZE") == 0


async def test_eviction(each_server: Server) -> None:
    # What the seed's compose file sets.
    with configured(each_server, maxmemory="100mb", maxmemory_policy="allkeys-lru"):
        health = await health_of(each_server.url)
        finding = found(health, "maxmemory-policy allkeys-lru")
        assert finding.level == "error"
        assert "any key is evicted, a session or a part of one" in finding.what
        assert "CONFIG SET maxmemory-policy noeviction" in finding.cure
        assert not health
        assert health.problems == (str(finding),)

    with configured(each_server, maxmemory="100mb", maxmemory_policy="volatile-ttl"):
        health = await health_of(each_server.url)
        finding = found(health, "maxmemory-policy volatile-ttl")
        assert finding.level == "warning"
        assert "sessions that have a ttl are evicted before their time" in finding.what
        assert health.ok

    with configured(each_server, maxmemory_policy="allkeys-lfu"):
        finding = found(await health_of(each_server.url), "maxmemory-policy allkeys-lfu")
        assert finding.level == "warning"
        assert "without effect as long as no maxmemory is set" in finding.what

    finding = found(await health_of(each_server.url), "no maxmemory")
    assert finding.level == "info"


async def test_a_full_server_refuses_the_canary(each_server: Server) -> None:
    with configured(each_server, maxmemory="1"):
        health = await health_of(each_server.url)

    assert not health
    finding = found(health, "a write was refused: OOM")
    assert "raise maxmemory" in finding.cure
    assert found(health, "of maxmemory are used").level == "warning"


async def test_a_server_that_keeps_nothing(each_server: Server) -> None:
    finding = found(await health_of(each_server.url), "keeps nothing on disk")

    assert finding.level == "warning"
    assert "appendonly yes" in finding.cure


async def test_how_often_a_server_saves(each_server: Server) -> None:
    with configured(each_server, save="3600 1"):
        assert found(await health_of(each_server.url), "saves from time to time").level == "warning"
    for policy, level in {"everysec": "info", "no": "warning"}.items():
        with configured(each_server, appendonly="yes", appendfsync=policy):
            assert found(await health_of(each_server.url), f"appendfsync {policy}").level == level


@ALL
async def test_a_disk_that_cannot_be_saved_to(name: str, new_server: NewServer, tmp_path: Path) -> None:
    server = new_server(SERVERS[name], config={"save": ["3600", "1"]})
    server.command("SET", "x", 1)
    # A folder stands where the file is to be: not even root can write it.
    (server.folder / "dump.rdb").mkdir()
    (server.folder / "dump.rdb" / "kept").touch()
    server.command("BGSAVE")
    await eventually(lambda: b"rdb_last_bgsave_status:err" in server.command("INFO", "persistence"))

    health = await health_of(server.url)

    assert not health
    assert found(health, "a write was refused: MISCONF").level == "error"
    assert found(health, "the last save to disk failed").level == "warning"
    # It would refuse to end, too.
    server.kill()


@ALL
async def test_replicas_and_those_that_are_missing(name: str, new_server: NewServer) -> None:
    master = new_server(SERVERS[name], config={"repl-diskless-sync-delay": 0})
    health = await health_of(master.url, replicas=1)
    assert not health
    assert "raise DurabilityError" in found(health, "0 of the 1 replicas that replicas= asks for").cure
    assert found(await health_of(master.url), "has no replica").level == "info"

    replica = new_server(SERVERS[name], config={"replicaof": ["127.0.0.1", str(master.port)]})
    await eventually(lambda: b"state=online" in master.command("INFO", "replication"))
    assert found(await health_of(master.url, replicas=1), "1 replicas are connected").level == "info"

    health = await health_of(replica.url)
    assert not health
    assert "redis+sentinel://" in found(health, "is a replica, not a master").cure
    assert found(health, "a write was refused: READONLY").level == "error"

    replica.pause()
    try:
        await eventually(lambda: _seconds(master) > 5, within=30)
        assert found(await health_of(master.url), "silent for").level == "warning"
    finally:
        replica.resume()


def _seconds(master: Server) -> int:
    """For how long the replica has been silent."""
    told: bytes = master.command("INFO", "replication")
    return int(told.partition(b"lag=")[2].split()[0].split(b",")[0])


async def test_what_may_not_be_seen_is_no_failure(each_server: Server) -> None:
    rules = acl_rules(Keys()).split()
    url = f"redis://agent:pw@127.0.0.1:{each_server.port}"
    given = [rule for rule in rules if rule not in {"+info", "+role"}]
    each_server.command("ACL", "SETUSER", "agent", "reset", "on", ">pw", *given)

    health = await health_of(url)
    assert health.ok
    assert "+info" in found(health, "memory, replicas and persistence cannot be seen").cure
    assert "+role" in found(health, "its role cannot be seen").cure

    each_server.command("ACL", "SETUSER", "agent", "reset", "on", ">pw", *rules)
    with configured(each_server, appendonly="yes"):
        health = await health_of(url)
    assert health.ok
    assert found(health, "how often it is synced cannot be seen").level == "info"


@ALL
async def test_a_server_that_is_away_is_a_problem_and_no_error(name: str, new_server: NewServer) -> None:
    server = new_server(SERVERS[name])
    async with open_store(server.url) as store:
        assert await store.health()
        server.kill()

        health = await store.health()

        assert not health
        assert len(health.findings) == len(health.problems) == 1
        assert "running" in health.findings[0].cure
        assert "commit" not in str(health.findings[0])
        assert "is the server running?" in (await store.health()).problems[0]


async def test_each_master_of_a_cluster_is_looked_at() -> None:
    with ClusterGroup() as cluster:
        health = await health_of(cluster.url)

    assert sum("is a master" in finding.what for finding in health.findings) == 3
    assert sum("what they write can be read back" in finding.what for finding in health.findings) == 3
    names = {
        finding.what.partition(": ")[0] for finding in health.findings if "is a master" in finding.what
    }
    assert len(names) == 3


# What was evicted

PARTS = ("thread", "events", "log", "state", "names", "count", "ids")


async def make_a_session(url: str, namespace: str) -> dict[str, str]:
    """A session that has all parts: their keys by name."""
    async with open_store(url, namespace=namespace) as store, store.batch("s", create=True) as batch:
        batch.append(Message.user("hello", id="m1"))
        batch.append({"a": 1}, log="events")
        batch.append({"a": 1}, log="notes")
        batch.state.set("a", 1)
        batch.state.add("n", 2)
    parts = Keys(namespace).parts("s")
    return {**parts, "log": f"{parts['log']}notes"}


async def test_a_turn_that_finds_damage_is_given_back_at_once(each_server: Server) -> None:
    namespace = uuid.uuid4().hex
    keys = await make_a_session(each_server.url, namespace)
    each_server.command("DEL", keys["thread"])

    for _ in range(2):
        async with open_store(each_server.url, namespace=namespace) as store:
            with pytest.raises(SessionDamagedError):
                async with store.turn("s", wait=0):
                    pass


@pytest.mark.parametrize("part", PARTS)
async def test_an_evicted_part_is_noticed_by_reads_and_commits(each_server: Server, part: str) -> None:
    namespace = uuid.uuid4().hex
    keys = await make_a_session(each_server.url, namespace)
    assert each_server.command("DEL", keys[part]) == 1

    async with open_store(each_server.url, namespace=namespace) as store:
        calls: list[Callable[[], Any]] = [
            lambda: store.history("s"),
            lambda: store.snapshot("s", state=True),
            lambda: store.append("s", Message.user("again")),
            lambda: store.state("s").set("b", 2),
        ]
        for call in calls:
            with pytest.raises(SessionDamagedError) as told:
                await call()
            assert told.value.part
        with pytest.raises(SessionDamagedError):
            async with store.turn("s"):
                pass
        assert await store.delete("s")


async def test_an_evicted_part_is_noticed_by_who_knows_the_session(each_server: Server) -> None:
    """The fast path, which reads nothing of the session."""
    for part in PARTS:
        namespace = uuid.uuid4().hex
        keys = await make_a_session(each_server.url, namespace)
        async with open_store(each_server.url, namespace=namespace) as store:
            await store.append("s", Message.user("one"))
            await store.append("s", Message.user("two"))
            assert each_server.command("DEL", keys[part]) == 1

            with pytest.raises(SessionDamagedError):
                await store.append("s", Message.user("three"))


async def test_a_session_whose_record_was_evicted_is_gone_and_leaves_nothing(each_server: Server) -> None:
    namespace = uuid.uuid4().hex
    await make_a_session(each_server.url, namespace)
    assert each_server.command("DEL", Keys(namespace).record("s")) == 1

    async with open_store(each_server.url, namespace=namespace) as store:
        with pytest.raises(SessionNotFoundError):
            await store.history("s")
        # Nothing of the old one shows in a new one of its name.
        await store.append("s", Message.user("new", id="m1"), create=True)
        snapshot = await store.snapshot("s", logs=["messages", "events", "notes"], state=True)
        assert [message.content for message in snapshot.history] == ["new"]
        assert not snapshot.state
        assert await store.entries("s", log="events") == []
        assert await store.state("s").add("n") == 1


@ALL
async def test_under_memory_pressure_no_session_is_half(name: str, new_server: NewServer) -> None:
    """As the seed ran it: a small server that evicts whatever it likes."""
    config = {"maxmemory": "5mb", "maxmemory-policy": "allkeys-random"}
    server = new_server(SERVERS[name], config=config)
    told = {"whole": 0, "gone": 0, "damaged": 0}
    async with open_store(server.url) as store:
        for number in range(800):
            async with store.batch(f"s{number}", create=True) as batch:
                batch.append(Message.user("x" * 10_000))
                batch.append({"a": 1}, log="events")
                batch.state.set("a", 1)
        for number in range(800):
            try:
                snapshot = await store.snapshot(f"s{number}", logs=["messages", "events"], state=True)
            except SessionNotFoundError:
                told["gone"] += 1
            except SessionDamagedError:
                told["damaged"] += 1
            else:
                assert len(snapshot.history) == 1
                assert snapshot.state
                told["whole"] += 1
        health = await store.health()
    assert told["gone"] + told["damaged"] > 0
    assert found(health, "keys have been evicted").level == "warning"
    assert not health


@ALL
async def test_without_eviction_a_full_server_refuses_and_loses_nothing(
    name: str, new_server: NewServer
) -> None:
    server = new_server(SERVERS[name], config={"maxmemory": "6mb", "maxmemory-policy": "noeviction"})
    kept = 0
    async with open_store(server.url) as store:
        with pytest.raises(CapacityError):
            for number in range(2000):
                await store.append(f"s{number}", Message.user("x" * 10_000), create=True)
                kept += 1
        for number in range(kept):
            assert len(await store.history(f"s{number}")) == 1
        # There is room again after a delete, once the server has freed it in its own time (UNLINK).
        for number in range(20):
            assert await store.delete(f"s{number}")
        async with asyncio.timeout(30):
            while True:
                try:
                    await store.append("after", Message.user("x"), create=True)
                    break
                except CapacityError:
                    await asyncio.sleep(0.05)
    assert kept > 50
