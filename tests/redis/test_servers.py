"""The servers that tests are run on: they start, crash, pause, come back, and leave nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from miniagent_store.testing.servers import CommandError, Server, ServerError, find_servers
from tests.redis.conftest import NewServer, any_binary


def test_a_killed_server_comes_back_on_its_port(new_server: NewServer) -> None:
    server = new_server(config={"appendonly": "yes", "appendfsync": "always"})
    port, pid = server.port, server.pid
    server.command("SET", "kept", 1)

    server.kill()
    assert not server.running
    with pytest.raises(OSError, match="refused"):
        server.command("PING")
    server.start()

    assert (server.port, server.command("GET", "kept")) == (port, b"1")
    assert server.pid != pid


def test_a_restarted_server_has_its_port_and_folder(new_server: NewServer) -> None:
    server = new_server(config={"save": ["3600", "1"]})
    server.command("SET", "kept", 1)
    server.command("SAVE")

    server.restart()

    assert server.command("GET", "kept") == b"1"


def test_a_paused_server_answers_when_it_goes_on(new_server: NewServer) -> None:
    server = new_server()

    server.pause()
    with pytest.raises(TimeoutError):
        server.command("PING", timeout=0.2)
    server.resume()

    assert server.command("PING") == b"PONG"


def test_a_paused_server_can_be_stopped(new_server: NewServer) -> None:
    server = new_server()
    folder = server.folder

    server.pause()
    server.stop()

    assert not server.running
    assert not folder.exists()


def test_a_server_that_cannot_start_says_why() -> None:
    server = Server(any_binary(), config={"no-such-directive": "x"})
    try:
        with pytest.raises(ServerError, match="no-such-directive"):
            server.start()
    finally:
        server.stop()


def test_a_password_and_users_are_asked_for(new_server: NewServer) -> None:
    server = new_server(password="secret", users=["alice on >pw ~a:* +get"])

    assert server.command("PING") == b"PONG"
    server.password = None
    with pytest.raises(CommandError, match="NOAUTH"):
        server.command("GET", "a")
    assert server.command("AUTH", "alice", "pw") == b"OK"


def test_each_server_that_is_found_starts(each_server: Server) -> None:
    assert each_server.command("ECHO", "hello") == b"hello"
    assert each_server.command("CONFIG", "GET", "port") == [b"port", str(each_server.port).encode()]


def test_servers_are_reachable_by_unix_socket_and_tls(unix_server: Server, tls_server: Server) -> None:
    assert unix_server.command("PING") == b"PONG"
    assert unix_server.url == f"unix://{unix_server.socket_path}"
    assert tls_server.command("PING") == b"PONG"
    assert tls_server.url == f"rediss://127.0.0.1:{tls_server.port}"


def test_found_servers_are_files() -> None:
    assert all(isinstance(path, Path) and path.is_file() for path in find_servers().values())
