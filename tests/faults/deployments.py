"""The places that faults are injected into: one server, Sentinel, Cluster; each with proxies if wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.proxy import Action, Fault, Proxy
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import ConfigValue, Server

Topology = Literal["standalone", "sentinel", "cluster"]
TOPOLOGIES: Sequence[Topology] = get_args(Topology)


@dataclass(frozen=True, slots=True)
class Deployment:
    """Servers that belong together.

    Attributes:
        topology: how they do.
        binary: what runs.
        url: of a store on them.
        servers: those that hold data.
        masters: tells which of them take writes now.
        owner: tells which of them has a key.
        settle: returns when they agree on all this.
    """

    topology: Topology
    binary: Path
    url: str
    servers: Sequence[Server]
    masters: Callable[[], Sequence[Server]]
    owner: Callable[[str], Server]
    settle: Callable[[], None] = lambda: None

    @contextmanager
    def proxied(self) -> Iterator[Proxied]:
        """Proxies in front of all servers, and how a store is led through them."""
        with ExitStack() as stack:
            proxies = {
                server: stack.enter_context(Proxy("127.0.0.1", server.port or 0)) for server in self.servers
            }
            yield Proxied(self, proxies)


@dataclass(frozen=True, slots=True)
class Proxied:
    """A deployment behind proxies.

    Attributes:
        proxies: by server.
    """

    deployment: Deployment
    proxies: dict[Server, Proxy]

    @property
    def url(self) -> str:
        """Of a store whose start-up node, if it is one, is a proxy."""
        url = self.deployment.url
        for server, proxy in self.proxies.items():
            url = url.replace(f":{server.port}", f":{proxy.port}")
        return url

    @property
    def options(self) -> dict[str, str]:
        """Further options of the store: what the servers announce is a proxy's in truth."""
        if self.deployment.topology == "standalone":
            return {}
        pairs = (
            f"127.0.0.1:{server.port}=127.0.0.1:{proxy.port}" for server, proxy in self.proxies.items()
        )
        return {"address_remap": ",".join(pairs)}

    def to(self, key: str) -> Proxy:
        """The proxy in front of who has a key."""
        return self.proxies[self.deployment.owner(key)]

    def inject(self, key: str, action: Action, *, on: Literal["request", "reply"], after: bytes) -> Fault:
        """Break the next request or reply on the way to who has a key."""
        return self.to(key).inject(action, on=on, after=after, seconds=0.5)


@contextmanager
def deploy(topology: Topology, binary: Path, **config: ConfigValue) -> Iterator[Deployment]:
    """Start servers that belong together; they end with the block.

    Args:
        topology: how they do.
        binary: what is to run.
        config: directives, with _ for -.
    """
    directives = {name.replace("_", "-"): value for name, value in config.items()}
    if topology == "standalone":
        with Server(binary, config=directives) as server:
            yield Deployment(topology, binary, server.url, [server], lambda: [server], lambda key: server)
    elif topology == "sentinel":
        with SentinelGroup(binary, config=directives) as group:
            yield of_sentinel(group, binary)
    else:
        with ClusterGroup(binary, config=directives) as cluster:
            yield of_cluster(cluster, binary)


def of_sentinel(group: SentinelGroup, binary: Path) -> Deployment:
    """A deployment of a group that runs."""
    return Deployment(
        "sentinel",
        binary,
        group.url,
        group.servers,
        lambda: [group.master()],
        lambda key: group.master(),
        group.wait_until_ready,
    )


def of_cluster(cluster: ClusterGroup, binary: Path) -> Deployment:
    """A deployment of a cluster that runs."""
    return Deployment(
        "cluster",
        binary,
        cluster.url,
        cluster.servers,
        cluster.masters,
        lambda key: cluster.owner(cluster.slot_of(key)),
        cluster.wait_until_ready,
    )
