"""Bad input is a clear `StoreError` that says what to do, and changes nothing."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import (
    AccessDeniedError,
    CapacityError,
    ConfigurationError,
    InvalidArgumentError,
    Message,
    MissingExtraError,
    SerializationError,
    SessionNotFoundError,
    SessionStore,
    SessionTooLargeError,
    StoreError,
    open_store,
)
from miniagent_store.hookspecs import hookimpl
from miniagent_store.provider import Provider


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SessionStore]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/sessions.db"
    async with open_store(url, max_session_size="4KiB", max_message_size="2KiB") as store:
        await store.create("s")
        await store.append("s", Message.user("kept"))
        yield store


# The URL


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlit:///x.db", "did you mean 'sqlite'"),
        ("nonsense", "write scheme://"),
        ("memory://?serialiser=json", "did you mean 'serializer'"),
        ("memory://?synchronous=FULL", "unknown option 'synchronous'"),
        ("memory://?serializer=mesgpack", "did you mean 'msgpack'"),
        ("memory://?serializer=msgpack+zstdd", "zstdd"),
        ("memory://?ttl=0", "never"),
        ("memory://?ttl=soon", "1h"),
        ("memory://?max_session_size=big", "1MiB"),
        ("memory://?namespace=a/b", "letters"),
        ("sqlite://", "sqlite:///"),
        ("memory://a:b@c:99999999", "1 to 65535"),
    ],
)
def test_a_bad_url_says_what_is_valid(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        open_store(url)

    assert said in str(told.value)


def test_no_message_shows_a_password() -> None:
    for url in ["nowhere://ada:hunter2@host/0", "memory://ada:hunter2@host:x", "ada:hunter2@host"]:
        with pytest.raises(ConfigurationError) as told:
            open_store(url)

        assert "hunter2" not in f"{told.value}{told.value!r}"
    store = open_store("memory://ada:hunter2@shared")
    assert "hunter2" not in f"{store}{store!r}{store.url}"


def test_a_missing_extra_is_named() -> None:
    def load() -> Any:
        import package_that_is_not_there  # type: ignore[import-not-found]

        return package_that_is_not_there

    class Plugin:
        @hookimpl
        def provide_serializers(self) -> list[Provider[Any]]:
            return [Provider("lacking", load, package="package_that_is_not_there", extra="lack")]

    with pytest.raises(MissingExtraError) as told:
        open_store("memory://?serializer=lacking", plugins=[Plugin()])

    assert "miniagent-store[lack]" in str(told.value)


# Ids and sessions


@pytest.mark.parametrize(
    "bad", ["", "a\nb", "a\x00b", "{a}", "a}", "x" * 10_240, "\ud800", 7, None, "é" * 300]
)
async def test_a_bad_id_is_refused_everywhere(store: SessionStore, bad: Any) -> None:
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: store.get(bad),
        lambda: store.append(bad, Message.user("x"), create=True),
        lambda: store.history(bad),
        lambda: store.delete(bad),
        lambda: store.touch(bad),
        lambda: store.snapshot(bad),
        lambda: store.clear(bad),
        lambda: store.rate_limit(bad, 1, 1),
        lambda: store.cache.get(bad),
        lambda: store.kv(bad).get("a"),
    ]
    if bad is not None:
        calls += [
            lambda: store.create(bad),
            lambda: store.create("t", user_id=bad),
            lambda: store.list(user_id=bad),
            lambda: store.fork("s", new_id=bad),
        ]

    for call in calls:
        with pytest.raises(InvalidArgumentError):
            await call()

    assert [session.id for session in await store.list()] == ["s"]


async def test_a_session_that_is_not_there_is_said_so(store: SessionStore) -> None:
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: store.get("none"),
        lambda: store.append("none", Message.user("x")),
        lambda: store.history("none"),
        lambda: store.touch("none"),
        lambda: store.update("none", metadata={}),
        lambda: store.snapshot("none"),
        lambda: store.count("none"),
        lambda: store.pop("none"),
        lambda: store.clear("none"),
        lambda: store.rewind("none", to=0),
        lambda: store.fork("none"),
        lambda: store.state("none").get("a"),
        lambda: store.state("none").set("a", 1),
    ]
    for call in calls:
        with pytest.raises(SessionNotFoundError, match="none"):
            await call()
    with pytest.raises(SessionNotFoundError):
        async with store.turn("none"):
            pass


async def test_an_expired_session_is_not_there(store: SessionStore) -> None:
    await store.create("brief", ttl="50ms")
    await store.append("brief", Message.user("x"))

    async with asyncio.timeout(10):
        while "brief" in [session.id for session in await store.list()]:
            await asyncio.sleep(0.01)

    with pytest.raises(SessionNotFoundError):
        await store.append("brief", Message.user("y"))
    assert await store.delete("brief") is False


@pytest.mark.parametrize("ttl", [0, -1, "0", "0s", float("nan"), "soon", 1e15, float("inf")])
async def test_a_ttl_must_be_above_zero(store: SessionStore, ttl: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        await store.create("t", ttl=ttl)
    with pytest.raises(InvalidArgumentError):
        await store.touch("s", ttl)

    assert (await store.get("s")).ttl is None


# Messages


class Unregistered:
    pass


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("text", "Message.user"),
        (["role", "user"], "mapping"),
        (None, "mapping"),
        ({"content": Unregistered()}, "unsupported type"),
        ({"content": "\ud800"}, "text"),
        ({"content": {float("nan"): 1}}, ""),
        ({"content": nested(150)}, "too deep"),
        ({"content": nested(5000)}, "too deep"),
        ({"content": 10**5000}, ""),
    ],
)
async def test_a_bad_message_is_refused(store: SessionStore, message: Any, said: str) -> None:
    for log in ["messages", "events"]:
        with pytest.raises(SerializationError) as told:
            await store.append("s", Message.user("first"), message, log=log)
        assert said in str(told.value)

    assert [message.content for message in await store.history("s")] == ["kept"]
    assert await store.count("s", log="events") == 0


async def test_a_message_or_session_over_its_size_is_refused(store: SessionStore) -> None:
    with pytest.raises(SessionTooLargeError, match="max_message_size"):
        await store.append("s", Message.user("x" * 3000))
    with pytest.raises(SessionTooLargeError, match="max_session_size") as told:
        await store.append("s", *(Message.user("x" * 1500) for _ in range(4)))

    assert told.value.limit == 4096 < told.value.size
    assert await store.count("s") == 1
    # What makes it smaller is always possible.
    await store.clear("s")


# The file


async def refuse(path: Path, kind: type[StoreError]) -> str:
    with pytest.raises(kind) as told:
        async with open_store(f"sqlite:///{path}") as store:
            await store.create("s")
    return str(told.value)


async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes " * 100)

    assert "notes.txt" in await refuse(path, ConfigurationError)
    assert path.read_text() == "my notes " * 100


async def test_another_applications_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()

    assert "other.db" in await refuse(path, ConfigurationError)


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    async with open_store(f"sqlite:///{path}") as store:
        await store.create("s")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()

    assert "999" in await refuse(path, ConfigurationError)


async def test_a_folder_that_may_not_be_written_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    async with open_store(f"sqlite:///{path}") as store:
        await store.create("s")
    # Root may write anything, so what is tested is the file system that says no.
    if os.getuid() == 0:
        pytest_uses_a_user_without_rights(path)
        return
    path.chmod(stat.S_IRUSR)
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        await refuse(path, AccessDeniedError)
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def pytest_uses_a_user_without_rights(path: Path) -> None:
    for folder in [path.parent, *path.parent.parents][:4]:
        folder.chmod(0o755)
    code = (
        "import os, sys\n"
        "import asyncio, miniagent_store, sqlite3\n"
        "from miniagent_store import open_store\n"
        "from miniagent_store.plugins import shared_plugins\n"
        "shared_plugins().load('backend', 'sqlite')\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "async def main():\n"
        "    async with open_store(sys.argv[1]) as store:\n"
        "        await store.append('s', {'a': 1})\n"
        "try:\n"
        "    asyncio.run(main())\n"
        "except miniagent_store.StoreError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    told = subprocess.run([sys.executable, "-c", code, f"sqlite:///{path}"], capture_output=True, text=True)

    assert told.stdout.startswith("AccessDeniedError"), told
    assert "sessions.db" in told.stdout


async def test_a_full_disk_is_a_capacity_error_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    code = (
        "import asyncio, resource, sys\n"
        "import miniagent_store\n"
        "from miniagent_store import Message, open_store\n"
        "async def main():\n"
        "    async with open_store(sys.argv[1]) as store:\n"
        "        await store.create('s')\n"
        "        size = 400_000\n"
        "        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))\n"
        "        stored = 0\n"
        "        try:\n"
        "            while True:\n"
        "                await store.append('s', Message.user('x' * 20_000))\n"
        "                stored += 1\n"
        "        except miniagent_store.StoreError as error:\n"
        "            print(type(error).__name__)\n"
        "        print(stored == await store.count('s'))\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
        "        await store.append('s', Message.user('works again'))\n"
        "        print((await store.history('s'))[-1].content, await store.count('s') == stored + 1)\n"
        "asyncio.run(main())\n"
    )
    told = subprocess.run([sys.executable, "-c", code, f"sqlite:///{path}"], capture_output=True, text=True)

    assert told.stdout.splitlines() == [CapacityError.__name__, "True", "works again True"], told.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
