"""What is promised holds while keys vanish, servers are killed, tasks are cancelled and others commit."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from miniagent_backends.redis.scripts import source_of
from miniagent_store import (
    AccessDeniedError,
    BackendUnavailableError,
    ConfigurationError,
    Message,
    SessionDamagedError,
    StoreError,
    open_store,
)
from miniagent_store.testing.servers import Server, free_port
from tests.promises.crashes import check_turns, start_appender
from tests.promises.test_crash import kill_again_and_again


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def url(server: Server) -> str:
    return f"{server.url}?namespace={uuid.uuid4().hex}"


# Crashes


async def test_ten_kills_lose_no_acknowledged_turn(url: str) -> None:
    assert await kill_again_and_again(url, 10) >= 10


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_three_hundred_kills_lose_no_acknowledged_turn(url: str) -> None:
    stored = await kill_again_and_again(url, 300)

    print(f"300 kills, {stored} turns stored")


# Damage


async def test_a_script_that_stopped_half_way_leaves_nothing_to_be_seen(
    url: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(url) as store:
        await store.append("s", Message.user("kept"), create=True)
        whole = source_of("commit")
        mark = b"local outcome = {counter, version, sequences, kept_out, counters}\n"
        assert whole.count(mark) == 1
        broken = whole.replace(mark, mark + b"error('stopped after the push')\n")
        monkeypatch.setattr("miniagent_backends.redis.routing.executor.source_of_digest", lambda _: broken)
        monkeypatch.setattr("miniagent_backends.redis.routing.executor.digest_of", lambda _: "0" * 40)
        with pytest.raises(StoreError):
            await store.append("s", Message.user("half"), Message.user("way"))
        monkeypatch.undo()

        assert [message.content for message in await store.history("s")] == ["kept"]
        await store.append("s", Message.user("next"))
        assert [message.content for message in await store.history("s")] == ["kept", "next"]
        namespace = url.partition("namespace=")[2]
        thread = f"{namespace}/thread:{{{namespace}/session:s}}"
        assert server.command("LLEN", thread) == 2


@pytest.mark.parametrize("operation", ["read", "commit"])
async def test_a_part_that_vanished_is_a_damaged_session(url: str, server: Server, operation: str) -> None:
    namespace = url.partition("namespace=")[2]
    tag = f"{{{namespace}/session:s}}"
    parts = [f"{name}:{tag}" for name in ["thread", "events", "state", "names", "count", "ids"]]
    parts.append(f"log:{tag}:notes")
    for part in parts:
        async with open_store(url) as store:
            await store.delete("s")
            async with store.batch("s", create=True) as batch:
                batch.append(Message.user("hello", id="m1"))
                batch.append({"a": 1}, log="events")
                batch.append({"a": 1}, log="notes")
                batch.state.set("a", 1)
                batch.state.add("n", 2)
            assert server.command("DEL", f"{namespace}/{part}") == 1, part

            with pytest.raises(SessionDamagedError) as told:
                if operation == "read":
                    await store.history("s")
                else:
                    await store.append("s", Message.user("again"))
            assert told.value.part
            await store.delete("s")


# Many at once


async def test_a_thousand_tasks_share_a_few_connections(url: str, server: Server) -> None:
    async with open_store(url) as store:
        before = len(server.command("CLIENT", "LIST").splitlines())
        await asyncio.gather(
            *(store.append(f"s{n % 100}", Message.user(str(n)), create=True) for n in range(1000))
        )
        assert len(server.command("CLIENT", "LIST").splitlines()) - before <= 2

        tasks = [
            asyncio.create_task(store.append(f"s{n % 100}", Message.user(f"c{n}"))) for n in range(1000)
        ]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)

        stored = {message.content for n in range(100) for message in await store.history(f"s{n}")}
    assert {str(n) for n in range(1000)} <= stored
    assert all(not isinstance(result, BaseException) for result in results[1::2])
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
    assert {f"c{n}" for n in range(1, 1000, 2)} <= stored


async def test_large_reads_go_over_a_few_connections_of_their_own(url: str, server: Server) -> None:
    async with open_store(f"{url}&max_connections=2") as store:
        await store.append("s", *(Message.user("x" * 1000) for _ in range(500)), create=True)
        before = len(server.command("CLIENT", "LIST").splitlines())

        histories = await asyncio.gather(*(store.history("s") for _ in range(20)))

        assert {len(history) for history in histories} == {500}
        assert 1 <= len(server.command("CLIENT", "LIST").splitlines()) - before <= 2


async def test_commits_without_conditions_never_conflict(url: str) -> None:
    commits, tasks = 40, 6
    async with open_store(url) as store:
        await store.create("s")

    async def commit_plainly(chance: random.Random) -> int:
        async with open_store(url) as store:
            for number in range(commits):
                await store.append("s", Message.user(str(number)))
                await asyncio.sleep(chance.random() / 200)
            return commits

    async def disturb(chance: random.Random) -> int:
        done = 0
        async with open_store(url) as store:
            for number in range(commits // 4):
                async with store.turn("s", wait=60) as turn:
                    turn.append(Message.assistant("turn"))
                session = await store.get("s")
                await store.rewind("s", to=max(session.message_count - 3, 0))
                await store.fork("s", new_id=f"fork-{uuid.uuid4().hex}")
                done += 2
                await asyncio.sleep(chance.random() / 200)
                del number
        return done

    chance = random.Random(5)
    work = [commit_plainly(chance) for _ in range(tasks)]
    done = await asyncio.gather(*work, disturb(chance), return_exceptions=True)

    # A rewind may come too late for the message it names: a refusal that was asked for, and no commit.
    problems = [each for each in done if isinstance(each, BaseException)]
    assert not problems, problems
    async with open_store(url) as store:
        session = await store.get("s")
        history = await store.history("s")
    assert session.version == 1 + sum(each for each in done if isinstance(each, int))
    assert session.message_count == len(history)


async def test_eight_processes_commit_to_one_session(url: str) -> None:
    async with open_store(url) as store:
        await store.create("s")
        processes = [start_appender(url, "s", tasks=2, turns=30) for _ in range(7)]
        turns = 0
        while any(process.poll() is None for process in processes):
            async with store.turn("s", wait=60) as turn:
                turn.append({"type": "turn"}, log="events")
            await store.fork("s", new_id=uuid.uuid4().hex)
            turns += 1
        results = [process.communicate(timeout=120) for process in processes]

        session = await store.get("s")
        entries = await store.entries("s")
    assert [(process.returncode, told[1]) for process, told in zip(processes, results, strict=True)] == [
        (0, "")
    ] * 7
    acknowledged = {name for told, _ in results for name in told.split()}
    check_turns(entries, acknowledged)
    assert len(entries) == 7 * 2 * 30 * 2 == session.message_count
    assert session.version == 1 + 7 * 2 * 30 + turns


# What goes wrong before anything is stored


async def refused(url: str, kind: type[StoreError], **options: Any) -> str:
    """Use a store that cannot be used; what it says, within two seconds and without its password."""
    started = time.monotonic()
    with pytest.raises(kind) as told:
        async with open_store(url, **options) as store:
            await store.append("s", Message.user("x"), create=True)
    assert time.monotonic() - started < 2.5
    assert "hunter2" not in f"{told.value}{told.value!r}"
    return str(told.value)


async def test_a_server_that_is_not_there_is_said_so_at_once() -> None:
    port = free_port()

    assert str(port) in await refused(f"redis://:hunter2@127.0.0.1:{port}", BackendUnavailableError)


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            pass
        writer.close()
        ended.set()

    ended = asyncio.Event()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]

        await refused(f"redis://127.0.0.1:{port}", BackendUnavailableError, connect_timeout=1)
        await ended.wait()


async def test_wrong_passwords_and_missing_rights_are_told_apart() -> None:
    users = ["weak on >hunter2 ~* &* +@all -eval -evalsha"]
    with Server(password="right", users=users) as server:
        port = server.port

        assert "password" in await refused(f"redis://:hunter2@127.0.0.1:{port}", AccessDeniedError)
        assert "password" in await refused(f"redis://127.0.0.1:{port}", AccessDeniedError)
        assert "ACL" in await refused(f"redis://weak:hunter2@127.0.0.1:{port}", AccessDeniedError)
        async with open_store(f"redis://:right@127.0.0.1:{port}") as store:
            assert await store.health()
            assert "right" not in f"{store!r}{store.url}"


async def test_data_of_the_seed_under_our_keys_is_left_alone(url: str, server: Server) -> None:
    namespace = url.partition("namespace=")[2]
    server.command("SET", f"{namespace}/session:s", '{"session_id": "s"}')

    assert "namespace" in await refused(url, ConfigurationError)
    assert server.command("GET", f"{namespace}/session:s") == b'{"session_id": "s"}'


async def test_closing_leaves_no_task(url: str) -> None:
    before = asyncio.all_tasks()
    async with open_store(url) as store:
        session = await store.create("s")
        watching = store.watch("s", after=session.position)
        await store.append("s", Message.user("x"))
        assert (await anext(aiter(watching))).type == "appended"

    assert asyncio.all_tasks() == before


def test_host_names_are_checked_unless_someone_says_otherwise() -> None:
    from miniagent_backends.redis.wire.tls import tls_options

    assert tls_options({})["ssl_check_hostname"] is True
    assert tls_options({"ssl_check_hostname": "false"})["ssl_check_hostname"] is False
