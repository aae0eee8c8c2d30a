"""Bytes of one tenant that somebody puts under another's keys: an error, never the other's text."""

from __future__ import annotations

import copy
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import CryptoError, Message, SessionStore, StoreError
from miniagent_store.testing import backend_of
from miniagent_store.testing.servers import Server
from tests.tenants.conftest import KEYRING, Place, place_of

SECRET = "belongs to b"
OPTIONS: dict[str, dict[str, Any]] = {
    "encrypted": {"serializer": "msgpack+encrypted", "keyring": KEYRING},
    "shredded": {"serializer": "msgpack+encrypted", "keyring": KEYRING, "shred": True},
    "authenticated": {"serializer": "msgpack+hmac", "keyring": KEYRING},
}


async def fill(store: SessionStore) -> None:
    await store.create("s", metadata={"m": SECRET})
    await store.append("s", Message.user(SECRET))
    await store.create("bare")
    await store.append("bare", Message.user(SECRET))
    await store.state("bare").set("v", SECRET)
    await store.kv("settings").set("v", SECRET)
    await store.cache.set("k", SECRET)


def move_in_redis(server: Server) -> None:
    for key in server.command("KEYS", "b/*"):
        moved = key.replace(b"b/", b"a/")
        server.command("RESTORE", moved, 0, server.command("DUMP", key), "REPLACE")


def move_in_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table in ("sessions", "tags", "cache", "leases"):
            connection.execute(f"DELETE FROM {table} WHERE namespace = 'a'")
            connection.execute(f"UPDATE {table} SET namespace = 'a' WHERE namespace = 'b'")


def move_in_memory(store: SessionStore) -> None:
    backend: Any = backend_of(store)
    spaces = backend._place.spaces
    for name in spaces["b"].counts():
        getattr(spaces["a"], name).clear()
        getattr(spaces["a"], name).update(copy.deepcopy(getattr(spaces["b"], name)))


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis"])
@pytest.mark.parametrize("serializer", OPTIONS)
async def test_moved_bytes_are_refused(
    kind: str, serializer: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    place: Place = place_of(kind, request, tmp_path)
    async with place.store(**OPTIONS[serializer]) as first:
        await fill(first.tenant("b"))
        await first.tenant("a").create("other")
        if kind == "memory":
            move_in_memory(first)
        elif kind == "sqlite":
            assert place.path is not None
            move_in_sqlite(place.path)
        else:
            move_in_redis(place.servers[0])
        async with place.store(**OPTIONS[serializer]) as store:
            a = store.tenant("a")
            # Each by itself; they are there.
            for call in (
                lambda: a.get("s"),
                lambda: a.history("s"),
                lambda: a.list(),
                lambda: a.history("bare"),
                lambda: a.entries("bare"),
                lambda: a.snapshot("bare", state=True),
                lambda: a.state("bare").get("v"),
                lambda: a.kv("settings").get("v"),
                lambda: a.cache.get("k"),
                lambda: a.fork("bare"),
                lambda: a.pop("bare"),
            ):
                with pytest.raises(StoreError) as raised:
                    print(await call())
                assert isinstance(raised.value, CryptoError)
                assert SECRET not in str(raised.value)
