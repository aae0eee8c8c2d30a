"""A word that is put into every field of every kind is found nowhere but in the values that come back."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import Key, Keyring, Message, SessionStore, StoreError, hookimpl, open_store
from miniagent_store.redis_client import RedisConfig, RedisSessionManager
from miniagent_store.testing.servers import Server

CANARY = "canaryword"
SECRET = {"role": "user", "content": f"{CANARY} in a message", "metadata": {CANARY: [CANARY]}}


async def put_everywhere(store: SessionStore) -> None:
    session = await store.create("s", user_id="ada", metadata={"note": CANARY, CANARY: 1}, tags=["t"])
    await store.update(session.id, metadata={"note": CANARY, "more": {CANARY: CANARY}})
    await store.append(session.id, Message.user(CANARY), SECRET, {**SECRET, "id": "given"})
    await store.append(session.id, {**SECRET, "id": "given"})
    await store.append(session.id, SECRET, log="events")
    await store.append(session.id, SECRET, log="further")
    async with store.batch(session.id) as batch:
        batch.append(SECRET)
        batch.state.set("plan", {CANARY: CANARY})
        batch.metadata = {"note": CANARY}
    state = store.state(session.id)
    await state.set("short", CANARY, ttl=3600)
    await state.add("counter", 3)
    async with store.turn(session.id) as turn:
        turn.append(Message.assistant(CANARY))
    await store.redact(session.id, 1, reason=f"{CANARY} was said")
    await store.fork(session.id, new_id="fork")
    await store.kv("settings").set("colour", CANARY)
    await store.user("ada").set("likes", {CANARY})
    await store.cache.set("answer", {"text": CANARY})

    @store.cache.cached(ttl=60)
    async def ask(question: str) -> str:
        return f"{question} {CANARY}"

    await ask(CANARY)

    @store.cache.cached(ttl=60, negative=KeyError)
    async def find(name: str) -> str:
        raise KeyError(f"{CANARY} is not there")

    for _ in range(2):
        with pytest.raises(KeyError):
            await find(CANARY)
    await store.cache.set_many({"tagged": CANARY}, tags=["tag"])
    await store.rate_limit("key", 10, 60, algorithm="sliding")


async def check_it_is_there(store: SessionStore) -> None:
    assert CANARY in str(await store.history("s"))
    assert CANARY in str((await store.get("s")).metadata)
    assert await store.kv("settings").get("colour") == CANARY
    assert CANARY in str(await store.cache.get("answer"))


class Trouble:
    """A plugin that provokes a failure in the middle of things, with the canary in its own mouth."""

    @hookimpl
    def after_commit(self, session: Any, draft: Any) -> None:
        if draft.state:
            raise RuntimeError("a plugin failed")


async def provoke(store: SessionStore) -> list[StoreError]:
    """Errors of all sorts around values that hold the canary."""
    errors: list[StoreError] = []

    class Unknown:
        def __init__(self) -> None:
            self.text = CANARY

    calls = [
        lambda: store.append("s", {"role": "user", "content": Unknown(), CANARY: 1}),
        lambda: store.append("s", {"role": "user", "content": CANARY + "\ud800"}),
        lambda: store.append("s", {**SECRET, "content": "another " + CANARY, "id": "given"}),
        lambda: store.create("s", metadata={"note": CANARY}),
        lambda: store.update("s", metadata={"note": CANARY}, expected_version=1),
        lambda: store.state("s").set("plan", CANARY, if_version=1),
        lambda: store.state("s").add("plan", 1),
        lambda: store.append("nobody", SECRET),
        lambda: store.append("s", {"role": "user", "content": CANARY * 10_000_000}),
    ]
    for call in calls:
        with pytest.raises(StoreError) as caught:
            await call()
        errors.append(caught.value)
    return errors


def everything_about(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
        yield "".join(traceback.format_exception(error))
        yield from everything_about(error.__context__)
        error = error.__cause__


def files_of(place: str) -> list[bytes]:
    path = Path(place.removeprefix("sqlite:///").partition("?")[0])
    return [each.read_bytes() for each in path.parent.iterdir() if each.is_file()]


@pytest.mark.parametrize("chain", ["encrypted", "json+zstd+aesgcm", "orjson+chacha", "msgpack+zlib+gcmsiv"])
async def test_the_canary_is_in_no_value_key_file_log_or_error(
    place: str, chain: str, ring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[bytes] = []
    async with open_store(f"{place}&serializer={chain}", keyring=ring, plugins=[Trouble()]) as store:
        with _monitored(place, seen):
            await put_everywhere(store)
            errors = await provoke(store)
        await check_it_is_there(store)
        if place.startswith("sqlite"):
            # With the store open, so that the WAL is there too.
            seen += files_of(place)
    seen += files_of(place) if place.startswith("sqlite") else _all_of(place)

    assert sum(map(len, seen)) > 3000, "nothing was looked at"
    assert b"colour" in b"".join(seen), "this is not where the store wrote"
    assert CANARY.encode() not in b"".join(seen)
    for error in errors:
        assert not any(CANARY in text for text in everything_about(error)), error
    assert CANARY not in caplog.text


async def test_without_encryption_the_canary_is_found(place: str) -> None:
    """What makes the test above worth something."""
    async with open_store(place) as store:
        await put_everywhere(store)
        found = files_of(place) if place.startswith("sqlite") else _all_of(place)

    assert CANARY.encode() in b"".join(found)


async def test_what_is_published_is_encrypted(
    redis_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINIAGENT_STORE_KEYS", Key.generate("k").to_text())
    config = RedisConfig(port=redis_server.port, options={"serializer": "encrypted"})
    sender, hearer = RedisSessionManager(config), RedisSessionManager(config)
    seen: list[bytes] = []
    place = f"{redis_server.url}/0?"
    try:
        await hearer.subscribe("news")
        with _monitored(place, seen):
            assert await sender.publish("news", {"text": CANARY}) == 1
            assert await hearer.get_message(10) == {"text": CANARY}
    finally:
        await sender.disconnect()
        await hearer.disconnect()

    assert b"news" in b"".join(seen)
    assert CANARY.encode() not in b"".join(seen)


class _monitored:
    """What the server is told, from MONITOR; nothing on SQLite."""

    def __init__(self, place: str, seen: list[bytes]) -> None:
        self._place, self._seen = place, seen
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> None:
        if self._place.startswith("sqlite"):
            return
        self._process = _cli(self._place, "MONITOR")
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == b"OK"

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        end = _cli(self._place, "ECHO", "the-end")
        end.communicate(timeout=20)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._seen.append(line)
            if b"the-end" in line:
                break
        self._process.kill()
        self._process.communicate()


def _cli(place: str, *words: str) -> subprocess.Popen[bytes]:
    """A client of two lines: `redis-cli` is not brought by pip."""
    host, port = place.partition("://")[2].partition("/")[0].split(":")
    program = (
        "import socket, sys\n"
        f"s = socket.create_connection(({host!r}, {int(port)}))\n"
        f"s.sendall({' '.join(words)!r}.encode() + b'\\r\\n')\n"
        "while data := s.recv(65536):\n"
        "    sys.stdout.buffer.write(data.replace(b'+OK', b'OK')); sys.stdout.flush()\n"
        f"    if {words[0]!r} != 'MONITOR': break\n"
    )
    import sys

    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)


def _all_of(place: str) -> list[bytes]:
    """Every key and value of the server."""
    import redis

    host, port = place.partition("://")[2].partition("/")[0].split(":")
    client = redis.Redis(host, int(port))
    readers = {
        b"string": lambda key: [client.get(key)],
        b"hash": lambda key: [part for pair in client.hgetall(key).items() for part in pair],
        b"list": lambda key: client.lrange(key, 0, -1),
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"set": lambda key: client.smembers(key),
    }
    try:
        found = []
        for key in client.scan_iter(count=1000):
            found += [key, *readers[client.type(key)](key)]
        return found
    finally:
        client.close()


def test_the_canary_itself_is_found_where_it_is() -> None:
    assert any(CANARY in text for text in everything_about(ValueError(CANARY)))


async def test_reading_with_a_wrong_key_tells_nothing(
    place: str, ring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"{place}&serializer=encrypted"
    async with open_store(url, keyring=ring) as store:
        await put_everywhere(store)
    async with open_store(url, keyring=Keyring([Key.generate("other")])) as store:
        for call in (store.history, store.get):
            with pytest.raises(StoreError, match="not in the keyring") as caught:
                await call("s")
            assert not any(CANARY in text for text in everything_about(caught.value))
    await asyncio.sleep(0)
    assert CANARY not in caplog.text
