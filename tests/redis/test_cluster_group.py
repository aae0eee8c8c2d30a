"""The cluster that tests are run on: it fails over, takes nodes back, and its slots move."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.cluster_nodes import SLOTS
from miniagent_store.testing.servers import CommandError, find_servers
from miniagent_store.testing.waiting import wait_until
from tests.redis.conftest import EACH_SERVER


@pytest.fixture(scope="module", params=EACH_SERVER)
def each_group(request: pytest.FixtureRequest) -> Iterator[ClusterGroup]:
    with ClusterGroup(find_servers()[request.param]) as group:
        yield group


@pytest.fixture
def group(each_group: ClusterGroup) -> ClusterGroup:
    each_group.wait_until_ready()
    return each_group


def test_each_slot_has_one_owner(group: ClusterGroup) -> None:
    key = "{tag}a"
    slot = group.slot_of(key)
    owner = group.owner(slot)

    assert owner.command("CLUSTER", "KEYSLOT", key) == slot == group.slot_of("tag")
    assert owner.command("SET", key, 1) == b"OK"
    assert {group.owner(each) for each in (0, SLOTS // 2, SLOTS - 1)} == set(group.masters())
    assert [len(group.replicas_of(master)) for master in group.masters()] == [1, 1, 1]
    assert group.url == "redis+cluster://" + ",".join(
        f"127.0.0.1:{server.port}" for server in group.servers[:3]
    )


@pytest.mark.parametrize("key", ["a", "", "{", "{}", "{}a", "a{b}c", "{{a}}", "a{b", "a}b{c}", "ä{ö}"])
def test_slots_are_those_of_the_server(group: ClusterGroup, key: str) -> None:
    assert group.slot_of(key) == group.servers[0].command("CLUSTER", "KEYSLOT", key)


def test_a_replica_takes_over_when_asked(group: ClusterGroup) -> None:
    master = group.masters()[0]
    (replica,) = group.replicas_of(master)

    assert group.fail_over(master) is replica
    group.wait_until_ready()

    assert group.replicas_of(replica) == [master]
    assert replica in group.masters()


def test_a_killed_master_is_replaced_and_comes_back_as_a_replica(group: ClusterGroup) -> None:
    slot = group.slot_of("kept")
    killed = group.owner(slot)
    killed.command("SET", "kept", 1)
    (replica,) = group.replicas_of(killed)
    wait_until(lambda: None if replica.command("DBSIZE") == killed.command("DBSIZE") else "keys", 10)

    killed.kill()
    group.wait_until_ready()
    assert group.owner(slot) is replica
    assert killed not in group.masters()
    killed.start()
    group.wait_until_ready()

    assert group.replicas_of(replica) == [killed]
    assert replica.command("GET", "kept") == b"1"


def test_slots_move_with_their_keys(group: ClusterGroup) -> None:
    slots = [group.slot_of(f"moved{i}") for i in range(3)]
    source = group.owner(slots[0])
    slots = [slot for slot in slots if group.owner(slot) is source]
    target = next(master for master in group.masters() if master is not source)
    keys = [f"{{moved0}}{i}" for i in range(25)]
    for key in keys:
        source.command("SET", key, key)

    group.migrate(slots, source, target)
    group.wait_until_ready()

    assert {group.owner(slot) for slot in slots} == {target}
    assert [target.command("GET", key) for key in keys] == [key.encode() for key in keys]
    with pytest.raises(CommandError, match="MOVED"):
        source.command("GET", keys[0])


def test_all_first_nodes_can_be_replaced() -> None:
    with ClusterGroup(masters=2, replicas=1, password="p/w") as group:
        first = list(group.servers)
        slot = group.slot_of("kept")
        assert "//:p%2Fw@127.0.0.1:" in group.url
        group.owner(slot).command("SET", "kept", 1)

        for master in group.masters():
            (replica,) = group.replicas_of(master)
            group.forget(replica)
            new = group.add_node(replica_of=master)
            assert group.fail_over(master) is new
            group.forget(master)

        assert not set(group.servers) & set(first)
        assert group.owner(slot).command("GET", "kept") == b"1"


def test_a_new_master_takes_slots() -> None:
    with ClusterGroup(masters=1, replicas=0, password="p/w") as group:
        (source,) = group.masters()
        source.command("SET", "moved", 1)

        target = group.add_node()
        group.migrate([group.slot_of("moved")], source, target)

        assert group.owner(group.slot_of("moved")) is target
        assert target.command("GET", "moved") == b"1"
