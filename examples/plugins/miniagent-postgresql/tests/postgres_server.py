"""A real PostgreSQL for tests: its own cluster in a temporary folder, on a free port, ended by its pid."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg

from miniagent_store.testing.servers import free_port
from miniagent_store.testing.startable import Startable

START_SECONDS = 60.0
USER, PASSWORD, DATABASE = "ada", "s3cret-of-ada", "agents"


def find_binaries() -> Path | None:
    """The folder with ``initdb`` and ``postgres``: of the newest that Debian has, or of the PATH."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if folders:
        return max(folders, key=lambda folder: int(folder.parent.name))
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class PostgresServer(Startable):
    """A cluster and its server.

    Args:
        settings: as in postgresql.conf, such as ``{"fsync": "off"}``.
    """

    def __init__(self, **settings: str) -> None:
        binaries = find_binaries()
        assert binaries is not None, "PostgreSQL is not installed: apt-get install postgresql"
        self._binaries, self._settings = binaries, settings
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        """Of a database for tests."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{DATABASE}"

    def connect(self, user: str = USER, database: str = DATABASE) -> psycopg.Connection[tuple[object, ...]]:
        """A connection of the test's own; a superuser's."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=user, password=PASSWORD, dbname=database, autocommit=True
        )

    def start(self) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
            self._make_cluster(self._folder)
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        data = self._folder / "data"
        places = ("-D", str(data), "-h", "127.0.0.1", "-p", str(self.port), "-k", str(self._folder))
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_unprivileged(), str(self._binaries / "postgres"), *places, *options],
                cwd=self._folder,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        self._wait()

    def _make_cluster(self, folder: Path) -> None:
        password = folder / "password"
        password.write_text(PASSWORD)
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            for path in (folder, password):
                os.chown(path, user.pw_uid, user.pw_gid)
        self._call(
            "initdb",
            *("-D", str(folder / "data"), "-U", USER, f"--pwfile={password}", "-A", "scram-sha-256"),
            *("-E", "UTF8", "--no-locale", "--no-sync"),
        )

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self._process is not None
            try:
                with self.connect(database="postgres") as connection:
                    made = connection.execute(
                        "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)
                    ).fetchone()
                    if not made:
                        connection.execute(f"CREATE DATABASE {DATABASE}".encode())
                    return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start: {self.log()}") from error
            time.sleep(0.05)

    def log(self) -> str:
        """What the server has written."""
        assert self._folder is not None
        return (self._folder / "log").read_text(errors="replace")

    def kill(self) -> None:
        """End it as a crash does; `start` begins it again."""
        assert self._process is not None
        self._end(self._process, signal.SIGQUIT)

    def signal(self, number: int) -> None:
        """Send a signal to the server and all its processes, such as SIGSTOP."""
        assert self._process is not None
        pids = [self._process.pid, *_children(self._process.pid)]
        for pid in pids:
            os.kill(pid, number)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self._end(self._process, signal.SIGQUIT)  # nobody needs what it would flush
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _end(self, process: subprocess.Popen[bytes], number: int) -> None:
        os.kill(process.pid, number)
        process.wait(START_SECONDS)

    def _call(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [*_unprivileged(), str(self._binaries / name), *arguments],
            capture_output=True,
            text=True,
            cwd=tempfile.gettempdir(),
        )
        if done.returncode:
            raise RuntimeError(f"{name} failed: {done.stderr}")


def _unprivileged() -> Sequence[str]:
    """PostgreSQL refuses to run as root; Debian's package brings a user for it."""
    if os.getuid() != 0:
        return ()
    return ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
