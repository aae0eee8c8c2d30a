"""The Sentinel set-up that tests are run on: it fails over, takes servers back, and stalls."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import CommandError, Server, find_servers
from miniagent_store.testing.waiting import wait_until
from tests.redis.conftest import EACH_SERVER


@pytest.fixture(scope="module", params=EACH_SERVER)
def each_group(request: pytest.FixtureRequest) -> Iterator[SentinelGroup]:
    with SentinelGroup(find_servers()[request.param]) as group:
        yield group


@pytest.fixture
def group(each_group: SentinelGroup) -> SentinelGroup:
    each_group.wait_until_ready()
    return each_group


def test_what_the_master_has_reaches_all_replicas(group: SentinelGroup) -> None:
    group.master().command("SET", "a", 1)

    assert len(group.replicas()) == 2
    wait_until(lambda: _lacks(group.replicas(), "a"), 10)
    assert group.url.startswith("redis+sentinel://127.0.0.1:")
    assert group.url.endswith("/mymaster/0")
    assert group.url.count(",") == 2


def test_a_failover_names_another_master(group: SentinelGroup) -> None:
    before = group.master()

    after = group.fail_over()

    assert after is not before
    assert group.master() is after


def test_a_killed_master_is_replaced_and_comes_back_as_a_replica(group: SentinelGroup) -> None:
    killed = group.master()
    killed.command("SET", "kept", 1)
    wait_until(lambda: _lacks(group.replicas(), "kept"), 10)

    killed.kill()
    group.wait_until_ready()
    assert group.master() is not killed
    assert len(group.replicas()) == 1
    killed.start()
    group.wait_until_ready()

    assert killed in group.replicas()
    assert killed.command("GET", "kept") == b"1"


def test_a_stalled_link_is_up_and_brings_nothing(group: SentinelGroup) -> None:
    master, replicas = group.master(), group.replicas()

    with group.stall_replication():
        master.command("SET", "stalled", 1)
        assert all(replica.command("ROLE")[3] == b"connected" for replica in replicas)
        time.sleep(0.3)
        assert [replica.command("GET", "stalled") for replica in replicas] == [None, None]
    group.wait_until_ready()

    assert group.master() is master
    wait_until(lambda: _lacks(replicas, "stalled"), 10)


def test_passwords_are_asked_for() -> None:
    with SentinelGroup(replicas=1, password="data/pw", sentinel_password="s&pw") as group:
        assert "//:data%2Fpw@127.0.0.1:" in group.url
        assert group.url.endswith("/mymaster/0?sentinel_password=s%26pw")
        group.fail_over()
        group.wait_until_ready()
        for server in (group.servers[0], group.sentinels[0]):
            server.password = None
            with pytest.raises(CommandError, match="NOAUTH"):
                server.command("INFO")


def _lacks(servers: list[Server], key: str) -> str | None:
    return next((f"{server} has no {key}" for server in servers if not server.command("GET", key)), None)
