"""Addresses, what is put in their place, and slots."""

from __future__ import annotations

import pytest

from miniagent_backends.redis.routing.addresses import parse_address, parse_remap, render
from miniagent_backends.redis.routing.slots import slot_of
from miniagent_store import ConfigurationError
from miniagent_store.testing.cluster import ClusterGroup


@pytest.mark.parametrize("address", [("db.example", 6379), ("10.0.0.1", 7000), ("::1", 7000)])
def test_an_address_is_read_as_it_was_written(address: tuple[str, int]) -> None:
    assert parse_address(render(address)) == address


def test_an_address_in_a_redirection_may_be_an_ipv6_one_without_brackets() -> None:
    assert parse_address("fe80::1:7000") == ("fe80::1", 7000)


@pytest.mark.parametrize(
    "given",
    [
        "10.0.0.1:7000=localhost:17000, 10.0.0.2:7000=localhost:17001",
        {("10.0.0.1", 7000): ("localhost", 17000)},
        {"10.0.0.1:7000": "localhost:17000"},
        lambda address: ("localhost", 17000) if address[0] == "10.0.0.1" else address,
    ],
    ids=["text", "pairs", "texts", "function"],
)
def test_announced_addresses_are_replaced(given: object) -> None:
    remap = parse_remap(given)

    assert remap(("10.0.0.1", 7000)) == ("localhost", 17000)
    assert remap(("10.0.0.9", 7000)) == ("10.0.0.9", 7000)


@pytest.mark.parametrize("given", ["", "10.0.0.1:7000", "a=b", "a:1=b", "a:1=b:70000", 7, {"a": "b:1"}])
def test_what_is_no_table_of_addresses_is_told_with_an_example(given: object) -> None:
    with pytest.raises(ConfigurationError, match=r"option 'address_remap': .*7000=localhost:17000"):
        parse_remap(given)


def test_slots_are_those_of_the_server(cluster: ClusterGroup) -> None:
    keys = [
        "",
        "a",
        "session:x",
        "thread:{session:x}",
        "a{}b",
        "a{b",
        "{}{x}",
        "a{b{c}d}e}",
        "ä{ö}",
        "\0{\0}",
    ]
    for key in keys:
        assert slot_of(key) == cluster.servers[0].command("CLUSTER", "KEYSLOT", key.encode()), key
