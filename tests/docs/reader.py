"""What a reader has: a folder, an environment, and servers at the addresses that pages name."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import Server

# As compose.yaml and docs/topologies.md have them; each is replaced by an empty one of the test's own.
SERVERS: dict[str, Callable[[], Server | SentinelGroup | ClusterGroup]] = {
    "localhost:6379": Server,
    "localhost:26379,localhost:26380,localhost:26381": SentinelGroup,
    "localhost:7001,localhost:7002,localhost:7003": ClusterGroup,
}
# What says which store is meant where a block does not.
OURS = ("MINIAGENT_", "REDIS_")


class Servers:
    """Starts servers when a page first names them, and ends them with the tests of a module."""

    def __init__(self) -> None:
        self._started: dict[str, Server | SentinelGroup | ClusterGroup] = {}
        self._ending = ExitStack()

    def moved(self, code: str) -> str:
        """The code of a block, with the addresses of servers that run."""
        for address, start in SERVERS.items():
            if address in code:
                if address not in self._started:
                    self._started[address] = self._ending.enter_context(start())
                code = code.replace(address, hosts(self._started[address].url))
        return code

    def empty(self) -> None:
        """As they were at first."""
        for each in self._started.values():
            if isinstance(each, Server):
                each.command("FLUSHALL")

    def end(self) -> None:
        """End those that were started."""
        self._ending.close()


def hosts(url: str) -> str:
    """What stands between the scheme and the path of a URL."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """The servers of a module's tests."""
    servers = Servers()
    yield servers
    servers.end()


@pytest.fixture
def reader(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Servers:
    """In an empty folder, with empty servers, and an environment that is forgotten afterwards."""
    servers.empty()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["page"])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    home = tmp_path / ".home"
    home.mkdir()
    monkeypatch.setattr(
        os, "environ", environment | {"HOME": str(home), "XDG_DATA_HOME": str(home / "data")}
    )
    return servers
