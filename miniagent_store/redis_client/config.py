"""Where the seed's programs say which Redis they mean."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from miniagent_store.errors import ConfigurationError
from miniagent_store.url import StoreURL

_PREFIXES = {
    "session_prefix": "session:",
    "thread_prefix": "thread:",
    "cache_prefix": "cache:",
    "lock_prefix": "lock:",
}


@dataclass
class RedisConfig:
    """Settings of one Redis, as the seed names them.

    Attributes:
        host, port, db: of the server.
        username, password: for it; the password is never shown.
        decode_responses, retry_on_timeout: accepted and not used: values have a codec, and what is tried
            again is decided by the store.
        max_connections: of the redis-py client in `RedisSessionManager._client`, and of the store for large
            reads; all else of the store shares one connection.
        socket_timeout, socket_connect_timeout: seconds; None for the store's own.
        health_check_interval: seconds, for the redis-py client and the channels.
        session_ttl: seconds that a session lives after its last commit.
        max_session_size: bytes.
        session_prefix, thread_prefix, cache_prefix, lock_prefix: of the keys.
        options: further options of the store, as in its URL: ``{"serializer": "encrypted"}``.
    """

    host: str = "localhost"
    port: int = 6379
    db: int = 0
    password: str | None = field(default=None, repr=False)
    decode_responses: bool = False
    max_connections: int = 50
    socket_timeout: float | None = 5
    socket_connect_timeout: float | None = 5
    retry_on_timeout: bool = True
    health_check_interval: float = 30
    session_ttl: int = 3600
    max_session_size: int = 1048576
    session_prefix: str = "session:"
    thread_prefix: str = "thread:"
    cache_prefix: str = "cache:"
    lock_prefix: str = "lock:"
    username: str | None = None
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_env(
        cls, environment: Mapping[str, str] | None = None, *, env_file: str = ".env"
    ) -> RedisConfig:
        """Settings from `REDIS_HOST`, `REDIS_PORT`, `REDIS_DB`, `REDIS_USERNAME` and `REDIS_PASSWORD`.

        Args:
            environment: instead of the process's.
            env_file: a file of ``NAME=value`` lines that is read first, if it is there.

        The process's environment wins over the file.

        Raises:
            ConfigurationError: a number is none, or the file cannot be read.
        """
        found = {**_read_env_file(Path(env_file)), **(os.environ if environment is None else environment)}
        return cls(
            host=found.get("REDIS_HOST") or "localhost",
            port=_number(found, "REDIS_PORT", 6379),
            db=_number(found, "REDIS_DB", 0),
            username=found.get("REDIS_USERNAME") or None,
            password=found.get("REDIS_PASSWORD") or None,
        )

    @property
    def start(self) -> str:
        """What all keys start with: the namespace, if there is one."""
        namespace = self.options.get("namespace", "")
        return f"{namespace}/" if namespace else ""

    @property
    def channel_start(self) -> str:
        """What channels' names start with at the server, so that namespaces do not hear each other."""
        return f"{self.start}notify:channel/" if self.start else ""

    def to_url(self) -> str:
        """The URL that `open_store` takes, password included: to connect with, not to show."""
        options = {
            "ttl": str(self.session_ttl),
            "max_session_size": str(self.max_session_size),
            "max_connections": str(self.max_connections),
        }
        if self.socket_timeout is not None:
            options["socket_timeout"] = f"{self.socket_timeout:g}s"
        if self.socket_connect_timeout is not None:
            options["connect_timeout"] = f"{self.socket_connect_timeout:g}s"
        options |= {
            name: getattr(self, name) for name, usual in _PREFIXES.items() if getattr(self, name) != usual
        }
        options |= {name: str(value) for name, value in self.options.items()}
        hosts = ((self.host, self.port),)
        return StoreURL(
            "redis", self.username, self.password, hosts, f"/{self.db}", tuple(options.items())
        ).render()


def _number(found: Mapping[str, str], name: str, default: int) -> int:
    text = found.get(name) or str(default)
    if not text.strip().isdecimal():
        raise ConfigurationError(f"{name} must be a number, not {text!r}")
    return int(text)


def _read_env_file(path: Path) -> dict[str, str]:
    """``NAME=value`` lines; comments, ``export`` and quotes are understood."""
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    problem = ""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problem, text = str(error), ""
    if problem:
        raise ConfigurationError(f"{path} cannot be read: {problem}")
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if not equals or name.startswith("#"):
            continue
        value = value.strip()
        if value[:1] in {'"', "'"}:
            value = value[1:].partition(value[0])[0]
        else:
            value = value.partition(" #")[0].strip()
        found[name.strip()] = value
    return found
