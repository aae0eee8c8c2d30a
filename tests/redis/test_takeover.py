"""The contract with redis-py's inside: what it connects is ours afterwards, byte for byte."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis.asyncio
import redis.exceptions

from miniagent_backends.redis.wire.connection import Connection, pack
from miniagent_backends.redis.wire.replies import SentUnknown
from miniagent_backends.redis.wire.takeover import check_version, make_connection
from miniagent_store.errors import ConfigurationError
from miniagent_store.testing.proxy import Action, Proxy
from miniagent_store.testing.servers import Server, find_servers, free_port, make_certificates
from tests.redis.conftest import Connect, NewServer, target_of

FIFTY_MB = 50 * 1024 * 1024


@pytest.fixture(params=["tcp", "unix", "tls"])
def any_transport(request: pytest.FixtureRequest) -> Server:
    name = {"tcp": "server", "unix": "unix_server", "tls": "tls_server"}[request.param]
    server: Server = request.getfixturevalue(name)
    return server


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    assert server.port is not None
    with Proxy("127.0.0.1", server.port) as proxy:
        yield proxy


@pytest.mark.parametrize("protocol", [2, 3])
async def test_the_transport_is_ours_after_the_handshake(
    any_transport: Server, protocol: int, connect: Connect
) -> None:
    connection = await connect(any_transport, protocol=protocol, db=3, client_name="ours")

    assert await connection.execute("SET", "a", b"\x00\xff\r\n") == b"OK"
    assert await connection.execute("GET", "a") == b"\x00\xff\r\n"
    assert b" db=3 " in await connection.execute("CLIENT", "INFO")
    assert b" name=ours " in await connection.execute("CLIENT", "INFO")
    config = await connection.execute("CONFIG", "GET", "save")
    assert config == ({b"save": b""} if protocol == 3 else [b"save", b""])


@pytest.mark.parametrize("protocol", [2, 3])
async def test_each_server_is_understood(each_server: Server, protocol: int, connect: Connect) -> None:
    connection = await connect(each_server, protocol=protocol)

    assert await connection.execute("ECHO", "hello") == b"hello"


async def test_fifty_megabytes_go_both_ways(any_transport: Server, connect: Connect) -> None:
    connection = await connect(any_transport, timeout=60)
    value = bytes(range(256)) * (FIFTY_MB // 256)

    assert await connection.execute("SET", "large", value) == b"OK"
    assert await connection.execute("GET", "large") == value
    await connection.execute("DEL", "large")


@pytest.mark.parametrize("protocol", [2, 3])
async def test_replies_may_come_byte_by_byte(proxy: Proxy, protocol: int, connect: Connect) -> None:
    proxy.inject(Action.TRICKLE, times=None)
    connection = await connect(proxy, protocol=protocol, timeout=30)

    echoes = await asyncio.gather(*(connection.execute("ECHO", f"text {n}") for n in range(50)))

    assert echoes == [b"text %d" % n for n in range(50)]


async def test_a_connection_that_ends_in_mid_reply_fails_its_command(
    proxy: Proxy, connect: Connect
) -> None:
    connection = await connect(proxy, timeout=30)
    await connection.execute("SET", "large", b"x" * 1_000_000)
    proxy.inject(Action.HALVE, after=b"GET")

    with pytest.raises(SentUnknown):
        await connection.execute("GET", "large")

    assert not connection.is_open


async def test_what_the_handshake_has_read_too_far_is_not_lost(server: Server) -> None:
    async def subscribe_without_reading(connection: Any) -> None:
        await connection.on_connect()
        await connection.send_command("SUBSCRIBE", "news")
        await _until(lambda: connection._reader._buffer)

    pushes: list[Any] = []
    connection = Connection(
        redis_connect_func=subscribe_without_reading, on_push=pushes.append, **target_of(server)
    )
    async with connection:
        await connection.execute("PING")

    assert pushes == [[b"subscribe", b"news", 1]]


async def test_a_connection_that_is_closed_after_the_handshake_is_an_error(server: Server) -> None:
    async def be_killed(connection: Any) -> None:
        await connection.on_connect()
        await connection.send_command("CLIENT", "ID")
        identity = await connection.read_response()
        server.command("CLIENT", "KILL", "ID", identity)
        await _until(lambda: connection._reader.at_eof())

    connection = Connection(redis_connect_func=be_killed, **target_of(server))

    with pytest.raises(redis.exceptions.ConnectionError, match="closed after the handshake"):
        await connection.connect()


async def test_a_connection_that_was_lost_leaves_nothing_even_if_no_one_closes_it(server: Server) -> None:
    connection = Connection(**target_of(server))
    await connection.connect()
    identity = await connection.execute("CLIENT", "ID")

    server.command("CLIENT", "KILL", "ID", identity)
    await _until(lambda: connection._ended.done())

    gc.collect()  # at the test's end at the latest, redis-py would warn


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_wrong_password_surfaces_at_once(new_server: NewServer, protocol: int) -> None:
    server = new_server(password="right")
    began = time.monotonic()

    for password in ("wrong", None):
        connection = Connection(password=password, protocol=protocol, **target_of(server))
        with pytest.raises(redis.exceptions.AuthenticationError):
            await _connect_and_ping(connection)

    assert time.monotonic() - began < 2
    async with Connection(password="right", protocol=protocol, **target_of(server)) as connection:
        assert await connection.execute("PING") == b"PONG"


async def _connect_and_ping(connection: Connection) -> None:
    # In RESP2 a server without a password given lets the handshake pass, and refuses the first command.
    try:
        await connection.connect()
        await connection.execute("PING")
    except Exception as error:
        await connection.close()
        if str(error).startswith("NOAUTH"):
            raise redis.exceptions.AuthenticationError(str(error)) from error
        raise


async def test_users_and_credential_providers_are_redis_pys(new_server: NewServer) -> None:
    server = new_server(users=["alice on >secret ~* +@all"])
    provider = redis.credentials.UsernamePasswordCredentialProvider("alice", "secret")

    for options in ({"username": "alice", "password": "secret"}, {"credential_provider": provider}):
        async with Connection(**options, **target_of(server)) as connection:
            assert await connection.execute("ACL", "WHOAMI") == b"alice"


async def test_a_server_that_is_not_there_is_asked_once() -> None:
    connection = Connection(host="127.0.0.1", port=free_port())

    with pytest.raises(redis.exceptions.ConnectionError):
        await connection.connect()

    assert make_connection().retry.get_retries() == 0


async def test_a_handshake_without_an_answer_is_given_up(proxy: Proxy) -> None:
    proxy.inject(Action.BLACK_HOLE, on="reply")
    connection = Connection(connect_timeout=0.3, **target_of(proxy))

    with pytest.raises((redis.exceptions.TimeoutError, TimeoutError)):
        await connection.connect()

    await _until(lambda: proxy.connections == 0)
    gc.collect()


async def test_a_cancelled_handshake_leaves_no_socket(proxy: Proxy) -> None:
    swallowed = proxy.inject(Action.BLACK_HOLE, on="reply")
    connection = Connection(connect_timeout=30, **target_of(proxy))
    task = asyncio.create_task(connection.connect())
    await asyncio.to_thread(swallowed.wait)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await _until(lambda: proxy.connections == 0)
    gc.collect()


async def test_an_unknown_authority_or_host_is_a_matter_of_configuration(
    tls_server: Server, new_server: NewServer, tmp_path: Any
) -> None:
    stranger = make_certificates(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    certificates = make_certificates(elsewhere, hosts=["redis.example.org"])
    other_host = new_server(binary=find_servers()["redis"], tls=certificates)

    for target in (
        target_of(tls_server) | {"tls": {"ssl_ca_certs": str(stranger.authority)}},
        target_of(other_host) | {"tls": {"ssl_ca_certs": str(certificates.authority)}},
    ):
        # redis-py 7 looks at the host's name only if asked to.
        target["tls"]["ssl_check_hostname"] = True
        connection = Connection(**target)
        with pytest.raises(redis.exceptions.ConnectionError):
            await connection.connect()


async def test_the_server_hears_nothing_of_maintenance_notifications(new_server: NewServer) -> None:
    server = new_server()

    async with Connection(**target_of(server)) as connection:
        await connection.execute("PING")

    assert b"maint" not in server.command("INFO", "commandstats")
    assert b"client|maint" not in server.command("INFO", "errorstats")
    assert server.command("INFO", "stats").split(b"unexpected_error_replies:")[1][:1] == b"0"


@pytest.mark.parametrize("version", ["7.0.0", "7.4.1", "8.0.1", "8.1.0", "8.9"])
def test_supported_versions_of_redis_py_pass(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("version", ["6.4.0", "8.0.0", "9.0.0", "10.1"])
def test_other_versions_of_redis_py_are_refused_with_advice(version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"pip install 'redis>=7,<9,!=8\.0\.0'"):
        check_version(version)


def test_pack_takes_bytes_text_and_numbers_only() -> None:
    assert pack("é", b"\x00", -1, 2**70) == (
        b"*4\r\n$2\r\n\xc3\xa9\r\n$1\r\n\x00\r\n$2\r\n-1\r\n$22\r\n1180591620717411303424\r\n"
    )
    for wrong in (None, True, [], {}):
        with pytest.raises(TypeError):
            pack("SET", "a", wrong)  # type: ignore[arg-type]


async def _until(condition: Any, timeout: float = 10.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.005)
