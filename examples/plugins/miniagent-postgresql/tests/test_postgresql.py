"""What only this backend can do wrong."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from miniagent_postgresql.prefixes import after_prefix
from postgres_server import DATABASE, PASSWORD, PostgresServer

from miniagent_store import Message, open_store
from miniagent_store.errors import AccessDeniedError, BackendUnavailableError, ConfigurationError
from miniagent_store.testing import backend_of, eventually
from miniagent_store.testing.random_program import run_random_program
from miniagent_store.testing.servers import free_port

_numbers = itertools.count()


@pytest.fixture
def url(server: PostgresServer) -> str:
    """A namespace of the test's own."""
    return f"{server.url}?namespace={uuid.uuid4().hex}"


# Answers


def programs(server: PostgresServer, folder: Path) -> list[str]:
    """Places that are empty."""
    number = next(_numbers)
    return [
        "memory://",
        f"sqlite:///{folder}/{number}.db?synchronous=OFF",
        f"{server.url}?namespace=p{uuid.uuid4().hex}",
    ]


def test_it_answers_as_memory_and_sqlite_do(server: PostgresServer, tmp_path: Path) -> None:
    lengths = run_random_program(lambda: programs(server, tmp_path), steps=40, examples=5)

    assert sum(lengths) > 50


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_program_of_two_thousand_calls_is_answered_alike(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What one example may draw; the default ends a program after some 500 calls.
    monkeypatch.setattr("hypothesis.internal.conjecture.engine.BUFFER_SIZE", 256 * 1024)

    lengths = run_random_program(lambda: programs(server, tmp_path), steps=2000, least=2000, examples=3)

    print(f"{len(lengths)} programs, {sum(lengths)} calls, the longest {max(lengths)}")
    assert max(lengths) >= 2000


# Watching


async def test_a_watcher_elsewhere_is_woken_at_once(url: str) -> None:
    """By NOTIFY: the store's own look comes after five seconds."""
    async with open_store(url) as writer, open_store(url) as reader:
        await writer.create("s")
        events = reader.watch("s")
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.3)
        delays = []
        for number in range(5):
            started = time.monotonic()
            await writer.append("s", Message.user(str(number)))
            event = await asyncio.wait_for(waiting, 20)
            delays.append(time.monotonic() - started)
            assert [entry.value["content"] for entry in event.entries] == [str(number)]
            waiting = asyncio.ensure_future(anext(events))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    assert min(delays) < 1


async def test_a_watch_goes_on_where_its_connection_was_cut(server: PostgresServer, url: str) -> None:
    async with open_store(url) as store:
        await store.create("s")
        events = store.watch("s")
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.3)
        with server.connect() as connection:
            cut = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            ).fetchall()
        assert cut
        async with open_store(url) as other:
            await other.append("s", Message.user("a"))

        event = await asyncio.wait_for(waiting, 20)
        assert [entry.value["content"] for entry in event.entries] == ["a"]


async def test_changes_wait_for_a_transaction_that_began_before(server: PostgresServer, url: str) -> None:
    """Or a cursor would pass over what that one is about to commit."""
    async with open_store(url) as store:
        backend = backend_of(store)
        _, cursor = await backend.changes(None, 10)
        with server.connect() as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT pg_current_xact_id()")
            await store.create("s")
            assert (await backend.changes(cursor, 10)) == ([], cursor)
            connection.execute("COMMIT")

        changes, _ = await backend.changes(cursor, 10)
        assert [change.session_id for change in changes] == ["s"]


# Speed


async def test_who_waits_for_a_session_shares_a_transaction(server: PostgresServer, url: str) -> None:
    async with open_store(url) as store:
        await store.create("s")
        before = _commits(server)
        await asyncio.gather(*(store.append("s", Message.user(str(number))) for number in range(200)))
        history = await store.history("s")

    assert sorted(int(message.content) for message in history) == list(range(200))
    # Statistics come a little later; there are at least 200 where each has a transaction of its own.
    await asyncio.sleep(1.5)
    assert _commits(server) - before < 150


RECENT = "ORDER BY last_activity_ms DESC, id DESC"


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        (f"kind = 'session' {RECENT}", "sessions_activity"),
        (f"kind = 'session' AND user_id = 'ada' {RECENT}", "sessions_user"),
        (f"kind = 'session' AND agent = 'helper' {RECENT}", "sessions_agent"),
        ("expires_ms <= 5 AND claimed_ms <= 5 ORDER BY expires_ms", "sessions_expiry"),
    ],
)
async def test_listings_come_from_an_index(
    server: PostgresServer, url: str, condition: str, index: str
) -> None:
    async with open_store(url) as store:
        await store.create("s")
    with server.connect() as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute("SET enable_sort = off")
        connection.execute("SET enable_bitmapscan = off")
        connection.execute("SET search_path = miniagent")
        query = f"EXPLAIN SELECT id FROM sessions WHERE namespace = 'n' AND {condition} LIMIT 50"
        plan = connection.execute(query.encode())
        text = "\n".join(str(row[0]) for row in plan)

    assert index in text
    assert "Sort" not in text


# Places


async def test_schemas_of_one_database_are_apart(server: PostgresServer) -> None:
    async with (
        open_store(f"{server.url}?schema=one") as one,
        open_store(f"{server.url}?schema=two") as two,
    ):
        await one.create("s", exist_ok=True)

        assert await two.count_sessions() == 0


async def test_many_stores_may_make_the_tables_at_once(server: PostgresServer) -> None:
    schema = f"s{uuid.uuid4().hex[:8]}"

    async def use(number: int) -> None:
        async with open_store(f"{server.url}?schema={schema}") as store:
            await store.create(f"s{number}")

    await asyncio.gather(*map(use, range(8)))


async def test_health_tells_the_server_and_what_it_may_lose(server: PostgresServer, url: str) -> None:
    with server.connect() as connection:
        connection.execute("ALTER SYSTEM SET synchronous_commit = off")
        connection.execute("SELECT pg_reload_conf()")
    try:

        async def is_told() -> Any:
            async with open_store(url) as store:
                health = await store.health()
            assert health.details["server_version"]
            return [finding for finding in health.findings if "synchronous_commit is off" in finding.what]

        await eventually(is_told)
    finally:
        with server.connect() as connection:
            connection.execute("ALTER SYSTEM RESET synchronous_commit")
            connection.execute("SELECT pg_reload_conf()")


# Errors


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ((PASSWORD, "wrong-pass"), AccessDeniedError, "check user and password"),
        (("ada:", "bob:"), AccessDeniedError, "check user and password"),
        ((f"/{DATABASE}", "/nowhere"), ConfigurationError, "createdb"),
        ((f"/{DATABASE}", ""), ConfigurationError, "names no database"),
        ((f"/{DATABASE}", f"/{DATABASE}?schema=A-B"), ConfigurationError, "lower-case"),
        ((f"/{DATABASE}", f"/{DATABASE}?connections=0"), ConfigurationError, "1 to 100"),
        ((f"/{DATABASE}", f"/{DATABASE}?schema=pg_catalog"), ConfigurationError, "lower-case"),
        ((f"/{DATABASE}", f"/{DATABASE}?shema=x"), ConfigurationError, "schema"),
        ((f"/{DATABASE}", f"/{DATABASE}?sslmode=require"), BackendUnavailableError, "SSL"),
    ],
)
async def test_what_is_wrong_with_a_url_is_said_without_its_password(
    server: PostgresServer, change: tuple[str, str], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said) as failed:
        async with open_store(server.url.replace(*change)) as store:
            await store.create("s")

    text = f"{failed.value} {failed.value.__cause__} {failed.value!r}"
    assert PASSWORD not in text
    assert "wrong-pass" not in text


async def test_a_server_that_is_not_there_is_said_to_be() -> None:
    with pytest.raises(BackendUnavailableError, match="is the server running"):
        async with open_store(f"postgresql://ada:pw@127.0.0.1:{free_port()}/agents"):
            pass


async def test_a_role_that_may_not_make_tables_is_told(server: PostgresServer) -> None:
    with server.connect() as connection:
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
    with pytest.raises(AccessDeniedError, match="permission denied"):
        async with open_store(f"postgresql://reader:reader@127.0.0.1:{server.port}/{DATABASE}?schema=new"):
            pass


async def test_tables_of_others_and_of_the_future_are_left_alone(server: PostgresServer) -> None:
    with server.connect() as connection:
        connection.execute("CREATE SCHEMA theirs")
        connection.execute("CREATE TABLE theirs.sessions (a int)")
    with pytest.raises(ConfigurationError, match="another application"):
        async with open_store(f"{server.url}?schema=theirs"):
            pass
    async with open_store(f"{server.url}?schema=future"):
        pass
    with server.connect() as connection:
        connection.execute("UPDATE future.versions SET schema_version = 99")
    with pytest.raises(ConfigurationError, match="newer"):
        async with open_store(f"{server.url}?schema=future"):
            pass


async def test_a_database_that_does_not_know_utf_8_is_told(server: PostgresServer) -> None:
    with server.connect() as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(ConfigurationError, match="encoding LATIN1"):
        async with open_store(server.url.replace(f"/{DATABASE}", "/latin")):
            pass


def test_prefixes_end_where_the_next_text_begins() -> None:
    assert after_prefix("a/") == "a0"
    assert after_prefix("a\U0010ffff") == "b"
    assert after_prefix("\ud7ff") == "\ue000"
    assert after_prefix("\U0010ffff") is None


def _commits(server: PostgresServer) -> int:
    with server.connect() as connection:
        row = connection.execute(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(str(row[0]))
