"""Which database a URL names, and how to connect to it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from miniagent_store.backend import BackendOptions
from miniagent_store.errors import ConfigurationError
from miniagent_store.url import StoreURL

SCHEMA = "miniagent"
CONNECTIONS = 8
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,47}\Z")


@dataclass(frozen=True, slots=True)
class Location:
    """A schema of a database.

    Attributes:
        shown: for messages, without secrets.
        schema: the PostgreSQL schema that holds the tables.
        settings: what libpq is given, the password included.
        connections: how many are opened at most, besides one that listens.
    """

    shown: str
    schema: str
    settings: dict[str, Any]
    connections: int

    def __repr__(self) -> str:
        return f"Location({self.shown!r})"

    @classmethod
    def of(cls, url: StoreURL, options: BackendOptions) -> Location:
        """The place that a URL names. No I/O.

        Raises:
            ConfigurationError: the URL cannot be one; says what to write.
        """
        shown = str(url.without_options())
        database = url.path.removeprefix("/")
        if not database or "/" in database:
            raise ConfigurationError(
                f"{shown} names no database; write postgresql://user:password@host:5432/database"
            )
        schema = str(options.extra.get("schema", SCHEMA))
        if not _SCHEMA.match(schema):
            raise ConfigurationError(
                f"schema={schema!r} cannot be the name of a schema; use lower-case letters, digits and _"
            )
        hosts = url.hosts or ((str(options.extra.get("host", "")), None),)
        milliseconds = int(options.deadline * 1000)
        settings: dict[str, Any] = {
            "dbname": database,
            "user": url.username,
            "password": url.password,
            "host": ",".join(host for host, _ in hosts),
            "port": ",".join(str(port or 5432) for _, port in hosts) if url.hosts else None,
            "sslmode": options.extra.get("sslmode"),
            "sslrootcert": options.extra.get("sslrootcert"),
            # Of several servers the one that takes writes.
            "target_session_attrs": "read-write",
            "connect_timeout": max(int(options.connect_timeout), 2),
            # What is gone without a word is noticed.
            "tcp_user_timeout": milliseconds,
            "application_name": "miniagent-store",
            # A client that is frozen inside a transaction holds up others no longer than this.
            "options": f"-c search_path={schema} -c statement_timeout={milliseconds} "
            f"-c lock_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds}",
        }
        given = {name: value for name, value in settings.items() if value not in (None, "")}
        return cls(shown, schema, given, _connections(options.extra.get("connections", CONNECTIONS)))

    @property
    def channel(self) -> str:
        """What is listened to."""
        return f"miniagent_{self.schema}"

    def lock(self, namespace: str, scope: str, name: str) -> int:
        """The number of an advisory lock; two names may share one, and then wait for each other."""
        digest = _digest(8, self.schema, namespace, scope, name)
        return int.from_bytes(digest, signed=True)


def topic_key(namespace: str, scope: str, name: str, owner: str) -> str:
    """What stands for a topic in a notification: ids may be too long, and are nobody else's business."""
    return _digest(12, namespace, scope, name, owner).hex()


def _digest(size: int, *parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=size).digest()


def _connections(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if not 1 <= number <= 100:
        raise ConfigurationError(f"connections={value!r} is no number from 1 to 100")
    return number
