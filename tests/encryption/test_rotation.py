"""Keys are rotated while others write: nothing is lost, undone, or left under the old key."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import Key, KeyNotFoundError, Keyring, Reencryption, SessionStore, open_store
from miniagent_store.keys.key_file import add_key, make_primary

WRITER = Path(__file__).with_name("writer.py")
SESSIONS = 6


class Writer:
    """A process that writes, and what it was told is stored."""

    def __init__(self, url: str, name: str) -> None:
        self.acknowledged: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, str(WRITER), url, name, str(SESSIONS)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.acknowledged += (line.strip() for line in self._process.stdout)

    def stop(self) -> None:
        # Not by SIGINT, which a process inherits as ignored where its shell was started in the background.
        self._process.kill()
        self._reader.join(60)
        assert self._process.stderr is not None
        assert self._process.stdout is not None
        with self._process, self._process.stderr, self._process.stdout:
            errors = self._process.stderr.read()
        assert (errors, self._process.returncode) == ("", -signal.SIGKILL), (
            "it failed before it was stopped"
        )


@contextmanager
def writing(url: str, *names: str) -> Iterator[list[Writer]]:
    writers = [Writer(url, name) for name in names]
    try:
        yield writers
    finally:
        for writer in writers:
            writer.stop()


async def wait_for_more(writers: list[Writer], more: int) -> None:
    wanted = [len(writer.acknowledged) + more for writer in writers]
    async with asyncio.timeout(60):
        while any(len(w.acknowledged) < count for w, count in zip(writers, wanted, strict=True)):
            await asyncio.sleep(0.02)


async def facts(store: SessionStore) -> dict[str, Any]:
    """What re-encryption may not change."""
    found: dict[str, Any] = {}
    for session in (await store.list(limit=100)).items:
        entries = [(e.seq, e.id, e.time, e.version, e.value) for e in await store.entries(session.id)]
        found[session.id] = (
            session.version,
            session.epoch,
            session.last_activity,
            session.metadata,
            session.expires_at,
            session.size,
            entries,
            (await store.snapshot(session.id, state=True)).state,
        )
    found["kv"] = [(item.name, item.value, item.version) for item in await store.kv("settings").scan("")]
    return found


def key_ids(result: Reencryption) -> set[str]:
    return {each.key_id for each in result.in_use}


def check_all_there(found: dict[str, Any], writers: list[Writer]) -> int:
    texts: list[str] = []
    for session_id, (version, *_, entries, _state) in found.items():
        if session_id == "kv":
            continue
        assert [entry[0] for entry in entries] == [*range(1, len(entries) + 1)]
        # A commit a message, and one that repeated an id: each counts.
        assert version >= len(entries)
        texts += [entry[4]["content"] for entry in entries]
    assert len(texts) == len(set(texts)), "a message is stored twice"
    told = {text for writer in writers for text in writer.acknowledged}
    assert told <= set(texts), "an acknowledged message is lost"
    return len(texts)


async def rotate_under_load(place: str, tmp_path: Path, rounds: int, kills: int) -> tuple[int, int]:
    """Rotate again and again while two processes write; how many messages, how many values rewritten."""
    chance = random.Random(20261125)
    keys = tmp_path / "keys.txt"
    add_key(keys, Key.generate("k0"))
    url = f"{place}&ttl=1h&serializer=encrypted&keys=file:{keys}"
    rewritten = 0
    command = [sys.executable, "-m", "miniagent_store", "--store", url, "keys", "rotate"]
    with writing(url, "a", "b") as writers:
        for number in range(1, rounds + 1):
            await wait_for_more(writers, 40)
            add_key(keys, Key.generate(f"k{number}"))
            make_primary(keys, f"k{number}")
            for _ in range(kills):
                rotating = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                await asyncio.sleep(chance.uniform(0.3, 1.2))
                rotating.kill()
                rotating.wait()
            await wait_for_more(writers, 20)
    async with open_store(url) as store:
        before = await facts(store)
        done = await store.reencrypt()
        again = await store.reencrypt()
        after = await facts(store)
        look = await store.reencrypt(dry_run=True)
        rewritten += done.rewritten

    assert after == before
    assert done.failed == again.failed == 0
    assert again.rewritten == 0, "what was done is done again"
    primary = Keyring.from_file(keys).primary
    assert key_ids(done) == key_ids(look) == {primary.id.hex()}
    assert look.values == done.values
    # All that was written is read by the primary key alone.
    async with open_store(f"{place}&ttl=1h&serializer=encrypted", keyring=Keyring([primary])) as store:
        found = await facts(store)
        assert found == before
        count = check_all_there(found, writers)
        assert (await store.kv("settings").ttl("a-0") or 0) > 6000
    return count, rewritten


async def test_rotation_under_load_with_a_kill_in_the_middle(place: str, tmp_path: Path) -> None:
    messages, _ = await rotate_under_load(place, tmp_path, rounds=1, kills=1)

    assert messages > 100


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_ten_rotations_under_load_with_thirty_kills(place: str, tmp_path: Path) -> None:
    messages, rewritten = await rotate_under_load(place, tmp_path, rounds=10, kills=3)

    print(f"10 rotations, 30 kills: {messages} messages, {rewritten} values left for the last sweep")


async def test_expiry_is_kept_within_a_second(place: str, old_key: Key, new_key: Key) -> None:
    url = f"{place}&serializer=encrypted"
    async with open_store(url, keyring=Keyring([old_key])) as store:
        await store.create("s", ttl="1h", metadata={"a": 1})
        await store.append("s", *({"role": "user", "content": f"{i}"} for i in range(500)))
        await store.state("s").set("short", 1, ttl=900)
        await store.cache.set("c", "v", ttl=600, jitter=0)
        expires = (await store.get("s")).expires_at
        item = await store.state("s").get_many(["short"])
    await asyncio.sleep(1.2)
    async with open_store(url, keyring=Keyring([new_key, old_key])) as store:
        result = await store.reencrypt()
        assert (await store.get("s")).expires_at == expires
        assert await store.state("s").get_many(["short"]) == item
        assert await store.cache.get("c") == "v"
    assert result.rewritten == 500 + 1 + 1 + 1
    assert key_ids(result) == {new_key.id.hex()}
    if place.startswith("redis"):
        ttls = _ttls(place)
        assert ttls.pop("cache:default/c") == pytest.approx(600_000 - 1200, abs=1500)
        assert {name: left for name, left in ttls.items() if not 3_596_000 < left < 3_602_000} == {}


def _ttls(place: str) -> dict[str, int]:
    import redis

    host, port = place.partition("://")[2].partition("/")[0].split(":")
    namespace = place.partition("namespace=")[2]
    client = redis.Redis(host, int(port), decode_responses=True)
    try:
        names = [
            name for name in client.scan_iter(f"{namespace}/*") if "session:" in name or "cache:" in name
        ]
        return {name.partition("/")[2].replace(f"{namespace}/", ""): client.pttl(name) for name in names}
    finally:
        client.close()


async def test_a_value_under_a_key_that_is_gone_is_told_and_left_alone(
    place: str, old_key: Key, new_key: Key
) -> None:
    url = f"{place}&serializer=encrypted"
    async with open_store(url, keyring=Keyring([old_key])) as store:
        await store.append("lost", {"role": "user", "content": "x"}, create=True)
    async with open_store(url, keyring=Keyring([new_key])) as store:
        await store.append("fine", {"role": "user", "content": "y"}, create=True)
        result = await store.reencrypt()
        with pytest.raises(KeyNotFoundError):
            await store.history("lost")
    assert result.failed == 1
    assert old_key.id.hex() in result.problems[0]
    assert "lost" in result.problems[0]
    async with open_store(url, keyring=Keyring([new_key, old_key])) as store:
        assert (await store.reencrypt()).failed == 0
        assert [message.content for message in await store.history("lost")] == ["x"]


async def test_encryption_is_turned_on_for_what_is_there(place: str, ring: Keyring, old_key: Key) -> None:
    async with open_store(f"{place}&serializer=json") as store:
        await store.create("s", metadata={"a": 1})
        await store.append("s", {"role": "user", "content": "x", "id": "given"})
        await store.state("s").set("plan", [1, 2])
        await store.cache.set("c", "v")
    url = f"{place}&serializer=encrypted"
    async with open_store(url, keyring=ring) as store:
        # What this very process has written with other codecs is refused as well as a stranger's.
        for call in (store.history, store.get):
            with pytest.raises(Exception, match="accept=json"):
                await call("s")
    async with open_store(f"{url}&accept=json", keyring=ring) as store:
        before = await facts(store)
        result = await store.reencrypt()
        after = await facts(store)
    assert result.rewritten == 4
    assert [each for each in zip(before["s"], after["s"], strict=True) if each[0] != each[1]] == [
        (before["s"][5], after["s"][5])
    ], "only the size differs"
    async with open_store(url, keyring=ring) as store:
        assert [message.content for message in await store.history("s")] == ["x"]
        assert (await store.get("s")).metadata == {"a": 1}
        assert await store.cache.get("c") == "v"
        # The digest of before was made without a key; the message is known all the same.
        again = await store.append("s", {"role": "user", "content": "x", "id": "given"})
        assert again.message_count == 1


async def test_a_given_id_is_known_after_its_key_was_rotated_and_removed(
    place: str, old_key: Key, new_key: Key
) -> None:
    url, message = f"{place}&serializer=encrypted", {"role": "user", "content": "x", "id": "given"}
    async with open_store(url, keyring=Keyring([old_key])) as store:
        await store.append("s", message, create=True)
    for keys in ([new_key, old_key], [new_key]):
        async with open_store(url, keyring=Keyring(keys)) as store:
            await store.reencrypt()
            before = await store.count("s")
            assert (await store.append("s", message)).message_count == before
            async with store.batch("s") as batch:
                batch.append(message)
                batch.append({"role": "user", "content": "further"})
            assert batch.result is not None
            assert batch.result.sequences[0] == 1
            with pytest.raises(Exception, match="with another payload"):
                await store.append("s", {**message, "content": "y"})
