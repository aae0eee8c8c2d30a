"""A store with something of everything in it, what it says when it is read, and what lies beneath it."""

from __future__ import annotations

import base64
import json
import sqlite3
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from miniagent_store import Backend, Key, Keyring, Message, Provider, SessionStore, hookimpl
from miniagent_store.backend import BackendOptions
from miniagent_store.hookspecs import BackendFactory
from miniagent_store.url import StoreURL
from tests.backends.dict_backend import DictBackend

KEYRING = Keyring([Key(bytes(range(32)), "golden")])
OPEN = "serializer=msgpack&namespace=open"
SEALED = "serializer=encrypted&shred=true&namespace=sealed"


# With a caller's id, which is remembered as long as it stands.
HELLO = {"role": "user", "content": "Hello", "id": "m0"}


class Documents:
    """A plugin with the backend ``dict://``, whose documents are kept here."""

    def __init__(self, documents: dict[str, bytes]) -> None:
        self.documents = documents

    @hookimpl
    def provide_backends(self) -> list[Provider[BackendFactory]]:
        return [Provider("dict", lambda: self._open)]

    def _open(self, url: StoreURL, options: BackendOptions) -> Backend:
        backend = DictBackend(url, options)
        backend.documents = self.documents
        return backend

    def dump(self) -> dict[str, str]:
        return {key: _text(value) for key, value in sorted(self.documents.items())}

    @classmethod
    def load(cls, dumped: dict[str, str]) -> Documents:
        return cls({key: _bytes(text) for key, text in dumped.items()})


async def fill(store: SessionStore) -> None:
    """Use all that changes what is stored."""
    session = await store.create(
        "one", user_id="ada", agent="helper", tags=["x", "y"], metadata={"title": "Grüße 🌍"}
    )
    await store.append(session.id, HELLO, {"role": "user", "content": "again", "id": "m1"})
    await store.append(session.id, {"type": "opened", "n": [1, -2, 0.5, None, True, 2**63]}, log="events")
    await store.append(session.id, Message.assistant("an answer"), {"note": "kept"}, log="notes")
    state = store.state(session.id)
    await state.set("language", "en")
    await state.set("far", {"until": "2126"}, ttl=100 * 365 * 86400)
    await state.add("asked", 7)
    second = (await store.entries(session.id))[1]
    await store.redact(session.id, second.seq, reason="asked for")
    async with store.turn(session.id) as turn:
        turn.append(Message.user("in a turn"))
        turn.state.set("turns", 1)
    await store.append(session.id, Message.user("cut off"))
    await store.rewind(session.id, to=3)
    await store.trim(session.id, before=2, log="notes")
    await store.fork(session.id, new_id="two")
    await store.create("three", kind="task", ttl=100 * 365 * 86400)
    await store.kv("places").set_many({"rome": [41.9, 12.5], "oslo": [59.9, 10.8]})
    await store.user("ada").set("likes", "tea")
    await store.cache.set("weather", "rain", ttl=100 * 365 * 86400, tags=["sky"])
    await store.tenant("acme").append("one", Message.user("of a tenant"), create=True)


async def say(store: SessionStore) -> dict[str, Any]:
    """All that can be read, as it is in JSON."""
    listed = {each.id: each for kind in ("session", "task") for each in (await store.list(kind=kind)).items}
    said = {
        "sessions": {name: await _whole(store, name) for name in sorted(listed)},
        "of ada": [each.id for each in (await store.list(user_id="ada")).items],
        "tagged": sorted(each.id for each in (await store.list(tags=["x"])).items),
        "places": await store.kv("places").get_many(["rome", "oslo", "none"]),
        "likes": await store.user("ada").get("likes"),
        "weather": await store.cache.get("weather"),
        "tenants": await store.tenants(),
        "tenant": await _whole(store.tenant("acme"), "one"),
        "counted": await store.count_sessions(user_id="ada"),
    }
    plain: dict[str, Any] = json.loads(json.dumps(said, default=repr))
    return plain


async def _whole(store: SessionStore, session_id: str) -> dict[str, Any]:
    snapshot = await store.snapshot(session_id, logs=("messages", "events", "notes"), state=True)
    return snapshot.to_dict()


def dump_file(path: Path) -> str:
    """A SQLite file as statements."""
    connection = sqlite3.connect(path)
    pragmas = [
        f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};"
        for name in ("application_id", "user_version")
    ]
    lines = [*connection.iterdump(), *pragmas]
    connection.close()
    return "\n".join(lines) + "\n"


def load_file(path: Path, statements: str) -> None:
    """The file again."""
    connection = sqlite3.connect(path)
    connection.executescript(statements)
    connection.close()


async def dump_server(url: str) -> list[list[Any]]:
    """All keys of a server: name, type, content, time of expiry in ms or -1."""
    client: Any = Redis.from_url(url)
    rows: list[list[Any]] = []
    async for key in client.scan_iter(count=1000):
        kind = (await client.type(key)).decode()
        content: Any
        match kind:
            case "string":
                content = _text(await client.get(key))
            case "hash":
                content = [
                    [_text(name), _text(value)] for name, value in (await client.hgetall(key)).items()
                ]
            case "list":
                content = [_text(value) for value in await client.lrange(key, 0, -1)]
            case "set":
                content = sorted(_text(value) for value in await client.smembers(key))
            case "zset":
                content = [
                    [_text(member), score]
                    for member, score in await client.zrange(key, 0, -1, withscores=True)
                ]
            case _:
                raise ValueError(f"{key!r} is a {kind}")
        rows.append([_text(key), kind, content, await client.pexpiretime(key)])
    await client.aclose()
    return sorted(rows)


async def load_server(url: str, rows: list[list[Any]]) -> None:
    """The keys again."""
    client: Any = Redis.from_url(url)
    for name, kind, content, expires_ms in rows:
        key = _bytes(name)
        match kind:
            case "string":
                await client.set(key, _bytes(content))
            case "hash":
                await client.hset(key, mapping={_bytes(field): _bytes(value) for field, value in content})
            case "list":
                await client.rpush(key, *map(_bytes, content))
            case "set":
                await client.sadd(key, *map(_bytes, content))
            case "zset":
                await client.zadd(key, {_bytes(member): score for member, score in content})
        if expires_ms > 0:
            await client.pexpireat(key, expires_ms)
    await client.aclose()


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
