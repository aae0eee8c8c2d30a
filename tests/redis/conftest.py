"""Real servers, and connections to them that are closed at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from miniagent_backends.redis.wire.connection import Connection
from miniagent_store.testing.proxy import Proxy
from miniagent_store.testing.servers import Server, find_servers

FIRST, *OTHERS = find_servers()
# Names of servers: the first always, the others with the full counts.
EACH_SERVER = [FIRST, *(pytest.param(other, marks=pytest.mark.slow) for other in OTHERS)]
NewServer = Callable[..., Server]
Connect = Callable[..., Awaitable[Connection]]


def any_binary() -> Path:
    return next(iter(find_servers().values()))


def target_of(place: Server | Proxy) -> dict[str, Any]:
    """What `Connection` takes to reach a server or proxy."""
    if isinstance(place, Proxy):
        return {"host": place.host, "port": place.port}
    if place.socket_path is not None:
        return {"path": str(place.socket_path)}
    target: dict[str, Any] = {"host": "127.0.0.1", "port": place.port}
    if place.certificates is not None:
        target["tls"] = {"ssl_ca_certs": str(place.certificates.authority)}
    return target


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(scope="session")
def unix_server() -> Iterator[Server]:
    with Server(unix=True) as server:
        yield server


@pytest.fixture(scope="session")
def tls_server() -> Iterator[Server]:
    if "redis" not in find_servers():
        pytest.skip("the servers that pip brings have no TLS: apt-get install redis-server")
    with Server(find_servers()["redis"], tls=True) as server:
        yield server


@pytest.fixture(scope="session", params=EACH_SERVER)
def each_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(find_servers()[request.param]) as server:
        yield server


@pytest.fixture
def new_server() -> Iterator[NewServer]:
    made: list[Server] = []

    def make(binary: Path | None = None, **options: Any) -> Server:
        server = Server(binary, **options)
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        server.stop()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    made: list[Connection] = []

    async def make(place: Server | Proxy, **options: Any) -> Connection:
        connection = Connection(**{**target_of(place), **options})
        made.append(connection)
        await connection.connect()
        return connection

    yield make
    for connection in made:
        await connection.close()
