"""Which file a URL means, and how it is to be written."""

from __future__ import annotations

import os
from dataclasses import dataclass

from miniagent_store.backend import BackendOptions
from miniagent_store.errors import ConfigurationError
from miniagent_store.url import StoreURL

SYNCHRONOUS = ("FULL", "NORMAL", "OFF", "EXTRA")
_FORMS = "write sqlite:///relative.db or sqlite:////absolute/path.db"


@dataclass(frozen=True, slots=True)
class Location:
    """A database file.

    Attributes:
        path: absolute.
        synchronous: when SQLite waits for the disk; with FULL a commit that returned is on it.
    """

    path: str
    synchronous: str = "FULL"

    @classmethod
    def of(cls, url: StoreURL, options: BackendOptions) -> Location:
        """The file that `url` means. Touches no disk.

        Raises:
            ConfigurationError: it means none, or `synchronous` is not one of SQLite's.
        """
        return cls(_path(url), _synchronous(options.extra.get("synchronous", "FULL")))

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path)

    def file(self) -> tuple[int, int] | None:
        """Which file stands there now: device and inode."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @property
    def wal(self) -> str:
        """The write-ahead log beside it."""
        return self.path + "-wal"


def _path(url: StoreURL) -> str:
    if url.hosts:
        host = ",".join(name if port is None else f"{name}:{port}" for name, port in url.hosts)
        raise ConfigurationError(
            f"{url}: a SQLite URL has no host; for the file {host + url.path!r} write "
            f"{url.scheme}:///{host}{url.path}"
        )
    path = os.path.expanduser(url.path.removeprefix("/"))
    if not path:
        raise ConfigurationError(f"{url}: which file? {_FORMS}")
    if path == ":memory:":
        raise ConfigurationError(f"{url}: for a store in memory write memory://; for a file, {_FORMS}")
    if "\0" in path:
        raise ConfigurationError(f"{url}: a file name cannot hold a zero byte")
    if path.endswith("/"):
        raise ConfigurationError(f"{url}: that is a folder; name a file in it")
    return os.path.abspath(path)


def _synchronous(value: object) -> str:
    mode = str(value).upper()
    if mode not in SYNCHRONOUS:
        raise ConfigurationError(
            f"synchronous={value!s}: use one of {', '.join(SYNCHRONOUS)} "
            "(FULL, the default, survives a power cut; NORMAL may lose the last commits in one)"
        )
    return mode
