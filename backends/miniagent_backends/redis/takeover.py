"""The only file that touches redis-py's inside: it connects and shakes hands, then we take its transport.

redis-py knows URLs, TLS, AUTH, HELLO and SELECT. What it does afterwards (a pool, a task and a time-out a
command, blind retries) is not for us. Held by a contract test over the range of versions below.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from miniagent_backends.redis.tls import load_context
from miniagent_store.errors import ConfigurationError

# 8.0.0 was withdrawn. Frameworks pin redis-py, so the range is wide.
OLDEST, BELOW, NOT = (7, 0, 0), (9, 0, 0), {(8, 0, 0)}


def check_version(version: str) -> None:
    """Refuse a redis-py whose inside we do not know.

    Raises:
        ConfigurationError: it is outside of the range; says which to install.
    """
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if not OLDEST <= numbers < BELOW or numbers in NOT:
        raise ConfigurationError(
            f"redis-py {version} is not supported; run: pip install 'redis>=7,<9,!=8.0.0'"
        )


def make_connection(
    *,
    host: str = "localhost",
    port: int = 6379,
    path: str | None = None,
    tls: dict[str, Any] | None = None,
    connect_timeout: float = 2.0,
    protocol: int = 3,
    **options: Any,
) -> Any:
    """A connection of redis-py that is not connected yet and never tries again by itself.

    Args:
        host, port: of a server, or
        path: of its unix socket.
        tls: options of `redis.asyncio.SSLConnection`; None for no TLS.
        connect_timeout: seconds.
        protocol: 2 or 3; set always, since redis-py 7 and 8 differ in what they take by default.
        **options: username, password, db.
    """
    from redis import __version__
    from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    check_version(__version__)
    # No socket_timeout: it would be redis-py's own, and slows every call of it. Without a pool around it,
    # a connection has no maintenance notifications.
    common = {**options, "protocol": protocol, "socket_timeout": None}
    common |= {"retry": Retry(NoBackoff(), 0), "health_check_interval": 0}
    if path is not None:
        return UnixDomainSocketConnection(path=path, **common)
    common |= {"host": host, "port": port, "socket_connect_timeout": connect_timeout}
    common |= {"socket_keepalive": True}
    return Connection(**common) if tls is None else SSLConnection(**common, **tls)


async def take_over(connection: Any, protocol: asyncio.Protocol, timeout: float) -> asyncio.Transport:
    """Connect, shake hands, and give the transport to `protocol`; what was read too far is handed on.

    The caller keeps `connection`: letting it go closes the transport.

    Args:
        connection: of `make_connection`.
        protocol: gets `connection_made` and `data_received`.
        timeout: seconds for connecting and shaking hands.

    Raises:
        redis.exceptions.RedisError, OSError, TimeoutError: it could not connect.
        ConfigurationError: a file of the TLS options cannot be used.
    """
    from redis.exceptions import ConnectionError as RedisConnectionError

    try:
        async with asyncio.timeout(timeout):
            if (tls := getattr(connection, "ssl_context", None)) is not None:
                # In a thread, since it reads files; for each connection, since certificates are renewed.
                files = (tls.ca_certs, tls.certfile, tls.keyfile)
                tls.context = await asyncio.to_thread(load_context, *files, tls.check_hostname)
            await connection.connect()
    except BaseException:
        writer = connection._writer
        await connection.disconnect(nowait=True)
        if writer is not None:
            # TLS would wait for the other end to say goodbye.
            writer.transport.abort()
        raise
    reader, transport = connection._reader, connection._writer.transport
    leftover = bytes(reader._buffer)
    reader._buffer.clear()
    problem = ""
    # What redis-py's parser has read too far cannot be had back: we would begin in mid-reply.
    parsed = getattr(connection._parser, "_reader", None)
    if parsed is not None and parsed.has_data():
        problem = "spoke before it was asked"
    # A stream that has ended may keep its transport half open, and no one would ever tell us.
    elif reader.at_eof() or transport.is_closing():
        problem = "was closed after the handshake"
    if problem:
        let_go(connection)
        raise RedisConnectionError(f"{connection!r} {problem}")
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    if leftover:
        protocol.data_received(leftover)
    if reader._paused:
        reader._paused = False
        transport.resume_reading()
    return transport  # type: ignore[no-any-return]


def let_go(connection: Any) -> None:
    """Close a connection that was taken over, and what redis-py keeps around it."""
    writer = connection._writer
    connection._reader = connection._writer = None
    if writer is None:
        return
    # Not closed, since TLS would wait for the other end to say goodbye.
    writer.transport.abort()
    # The stream's own protocol never hears of the end; whoever waits for it would wait for ever.
    stream_protocol = writer._protocol
    if not stream_protocol._closed.done():
        stream_protocol._closed.set_result(None)
