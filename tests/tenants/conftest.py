"""Each kind of place with tenants in it, and what stands there byte for byte."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import Key, Keyring, SessionStore, open_store
from miniagent_store.testing import backend_of
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.servers import Server
from tests.backends import dict_backend

KEYRING = Keyring([Key.generate("tenants")])
PLACES = ("memory", "sqlite", "document", "redis", "cluster")


@dataclass(frozen=True)
class Place:
    """Where stores are opened.

    Attributes:
        url: of it.
        options: of every store there.
        servers: that hold it, if there are any.
        path: of its file, if there is one.
    """

    url: str
    options: dict[str, Any] = field(default_factory=dict)
    servers: tuple[Server, ...] = ()
    path: Path | None = None

    def store(self, **options: Any) -> SessionStore:
        return open_store(self.url, **{**self.options, **options})

    def empty(self) -> None:
        """Forget what other tests have left."""
        for server in self.servers:
            server.command("FLUSHALL")

    def count(self, store: SessionStore) -> int:
        """Everything that is kept there."""
        return len(self.bytes_of(store, ""))

    def bytes_of(self, store: SessionStore, namespace: str) -> dict[Any, Any]:
        """What stands in a namespace, as it is stored; "" for everything."""
        if self.servers:
            start = f"{namespace}/" if namespace else ""
            found = {}
            for server in self.servers:
                for key in server.command("KEYS", f"{start}*"):
                    found[key] = server.command("DUMP", key)
            return found
        if self.path is not None:
            with closing(sqlite3.connect(self.path)) as connection:
                return rows_of(connection, namespace)
        backend: Any = backend_of(store)
        if hasattr(backend, "documents"):
            from miniagent_store.documents import NOTES, space_of

            return {
                key: data
                for key, data in backend.documents.items()
                if not key.startswith(NOTES)
                and (not namespace or key.partition("/")[2].startswith(space_of(namespace)))
            }
        spaces = backend._place.spaces
        wanted = spaces if not namespace else {namespace: spaces[namespace]}
        return {
            (name, sort, key): repr(value)
            for name, space in wanted.items()
            for sort in space.counts()
            for key, value in getattr(space, sort).items()
        }


def rows_of(connection: sqlite3.Connection, namespace: str) -> dict[Any, Any]:
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found: dict[Any, Any] = {}
    for table in tables:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        if table == "tickets":
            continue
        where, values = "", ()
        if namespace and "namespace" in columns:
            where, values = "WHERE namespace = ?", (namespace,)
        elif namespace:
            where = "WHERE session IN (SELECT key FROM sessions WHERE namespace = ?)"
            values = (namespace,)
        for row in connection.execute(f"SELECT * FROM {table} {where}", values):
            found[table, row] = True
    return found


@pytest.fixture(scope="session")
def tenants_server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(scope="session")
def tenants_cluster() -> Iterator[ClusterGroup]:
    with ClusterGroup() as group:
        yield group


def place_of(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if name == "memory":
        return Place(f"memory://{uuid.uuid4().hex}")
    if name == "sqlite":
        path = tmp_path / "tenants.db"
        # The fsyncs of thousands of small commits would be most of the time.
        return Place(f"sqlite:///{path}", {"synchronous": "OFF"}, path=path)
    if name == "document":
        return Place("dict://", {"plugins": [dict_backend]})
    if name == "redis":
        server: Server = request.getfixturevalue("tenants_server")
        place = Place(server.url, servers=(server,))
    else:
        group: ClusterGroup = request.getfixturevalue("tenants_cluster")
        place = Place(group.url, servers=tuple(group.masters()))
    place.empty()
    return place


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of place, empty."""
    return place_of(request.param, request, tmp_path)
