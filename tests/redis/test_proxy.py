"""The proxy breaks what it is told to break, and nothing else."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from miniagent_store.testing.proxy import Action, Proxy
from miniagent_store.testing.servers import Server

PING, PONG = b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    assert server.port is not None
    with Proxy("127.0.0.1", server.port) as proxy:
        yield proxy


@contextlib.contextmanager
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection((proxy.host, proxy.port), 10) as connection:
        yield connection


def read_all(connection: socket.socket) -> bytes:
    """What comes until the connection ends."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(4096):
            received += data
    return received


def ask(connection: socket.socket, request: bytes = PING) -> bytes:
    connection.sendall(request)
    return connection.recv(4096)


def echo(text: bytes) -> bytes:
    return b"*2\r\n$4\r\nECHO\r\n$%d\r\n%b\r\n" % (len(text), text)


def test_it_passes_all_on_when_nothing_is_injected(proxy: Proxy) -> None:
    with client(proxy) as one, client(proxy) as other:
        assert [ask(one), ask(other), ask(one)] == [PONG] * 3
        assert proxy.connections == 2


@pytest.mark.parametrize(
    ("action", "seen"), [(Action.DROP, b""), (Action.HALVE, PONG[:3]), (Action.CUT, PONG)]
)
def test_a_reply_is_broken_once_and_the_connection_cut(proxy: Proxy, action: Action, seen: bytes) -> None:
    fault = proxy.inject(action, on="reply")

    with client(proxy) as connection:
        connection.sendall(PING)
        assert read_all(connection) == seen
    with client(proxy) as connection:
        assert ask(connection) == PONG
    assert fault.happened


@pytest.mark.parametrize(
    ("action", "done"), [(Action.DROP, False), (Action.HALVE, False), (Action.CUT, True)]
)
def test_a_request_is_broken_before_the_server_has_it(
    proxy: Proxy, server: Server, action: Action, done: bool
) -> None:
    server.command("DEL", "broken")
    fault = proxy.inject(action, on="request", after=b"broken")

    with client(proxy) as connection:
        connection.sendall(b"*3\r\n$3\r\nSET\r\n$6\r\nbroken\r\n$1\r\n1\r\n")
        read_all(connection)
        fault.wait()

    assert bool(server.command("EXISTS", "broken")) is done


def test_only_the_reply_to_the_request_in_question_is_broken(proxy: Proxy) -> None:
    fault = proxy.inject(Action.DROP, after=b"EVALSHA")

    with client(proxy) as connection:
        assert ask(connection) == PONG
        assert not fault.happened
        connection.sendall(echo(b"EVALSHA"))
        assert read_all(connection) == b""


def test_a_trigger_that_comes_in_two_pieces_is_seen_once(proxy: Proxy) -> None:
    fault = proxy.inject(Action.GARBLE, after=b"trigger")
    whole = echo(b"trigger")

    with client(proxy) as connection:
        connection.sendall(PING + whole[:18])
        assert connection.recv(4096) == PONG
        connection.sendall(whole[18:])
        assert connection.recv(4096) == b"?" * len(b"$7\r\ntrigger\r\n")
        assert ask(connection) == PONG
    assert fault.happened


def test_a_black_hole_swallows_all_and_cuts_nothing(proxy: Proxy, server: Server) -> None:
    server.command("SET", "counted", 0)
    fault = proxy.inject(Action.BLACK_HOLE, on="reply")

    with client(proxy) as connection:
        connection.sendall(b"*2\r\n$4\r\nINCR\r\n$7\r\ncounted\r\n")
        fault.wait()
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert server.command("GET", "counted") == b"1"
        proxy.heal()
        proxy.cut()
        connection.settimeout(10)
        assert read_all(connection) == b""


def test_a_delayed_or_trickled_reply_arrives_whole(proxy: Proxy) -> None:
    proxy.inject(Action.DELAY, seconds=0.05)
    proxy.inject(Action.TRICKLE, times=None)

    with client(proxy) as connection:
        for _ in range(2):
            connection.sendall(PING)
            received = b""
            while len(received) < len(PONG):
                received += connection.recv(4096)
            assert received == PONG


def test_it_refuses_and_accepts_connections(proxy: Proxy) -> None:
    port = proxy.port
    with client(proxy) as open_before:
        assert ask(open_before) == PONG
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError), client(proxy):
            pass
        assert ask(open_before) == PONG

    proxy.accept()

    with client(proxy) as connection:
        assert ask(connection) == PONG
    assert proxy.port == port


def test_a_server_that_is_gone_looks_gone_through_the_proxy() -> None:
    with Proxy("127.0.0.1", 1) as proxy, client(proxy) as connection:
        assert read_all(connection) == b""


def test_who_waits_for_a_fault_that_never_comes_is_told(proxy: Proxy) -> None:
    with pytest.raises(TimeoutError, match="no reply to DROP"):
        proxy.inject(Action.DROP).wait(0.01)


def test_a_proxy_that_stops_while_clients_come_leaves_no_socket(server: Server) -> None:
    assert server.port is not None
    files = len(os.listdir("/dev/fd"))
    for number in range(20):
        with contextlib.ExitStack() as clients, Proxy("127.0.0.1", server.port) as proxy:
            for _ in range(number % 5):
                clients.enter_context(client(proxy))

    assert len(os.listdir("/dev/fd")) == files
