"""The tables, and how a schema becomes ours.

Texts are compared by their bytes (``COLLATE "C"``), as the contract wants names and ids to be. The order of
changes is that of transaction ids: see `changes.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from miniagent_store.errors import ConfigurationError

if TYPE_CHECKING:
    import psycopg

SCHEMA_VERSION = 1

TABLES = """
CREATE DOMAIN bytewise AS text COLLATE "C";
CREATE SEQUENCE keys;

CREATE TABLE sessions (
    key bigint PRIMARY KEY,
    namespace bytewise NOT NULL,
    id bytewise NOT NULL,
    kind bytewise NOT NULL,
    user_id bytewise,
    agent bytewise,
    created_ms bigint NOT NULL,
    incarnation text NOT NULL,
    last_activity_ms bigint NOT NULL,
    expires_ms bigint,
    ttl_ms bigint,
    sliding boolean NOT NULL,
    version bigint NOT NULL,
    epoch bigint NOT NULL,
    state_version bigint NOT NULL,
    metadata_version bigint NOT NULL,
    token bytea NOT NULL,
    size bigint NOT NULL,
    fence bigint NOT NULL,
    lock_fence bigint NOT NULL,
    messages bigint NOT NULL,
    tags text[] NOT NULL,
    logs json NOT NULL,                       -- {log: [base, count]}; json keeps the order, jsonb does not
    resets json NOT NULL,                     -- [[epoch, {log: seq}]]
    metadata bytea NOT NULL,
    data_key bytea NOT NULL,
    claimed_ms bigint NOT NULL DEFAULT 0,     -- until when a sweep has claimed it
    changed xid8 NOT NULL                     -- the transaction of its last change
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX sessions_id ON sessions (namespace, id);
CREATE INDEX sessions_activity ON sessions (namespace, kind, last_activity_ms, id);
CREATE INDEX sessions_user ON sessions (namespace, kind, user_id, last_activity_ms, id)
    WHERE user_id IS NOT NULL;
CREATE INDEX sessions_agent ON sessions (namespace, kind, agent, last_activity_ms, id)
    WHERE agent IS NOT NULL;
CREATE INDEX sessions_tags ON sessions USING gin (tags);
CREATE INDEX sessions_expiry ON sessions (namespace, expires_ms) WHERE expires_ms IS NOT NULL;
CREATE INDEX sessions_changed ON sessions (namespace, changed);

CREATE TABLE entries (
    session bigint NOT NULL,
    log bytewise NOT NULL,
    seq bigint NOT NULL,
    version bigint NOT NULL,
    id bytea NOT NULL,
    time_ms bigint NOT NULL,
    payload bytea NOT NULL,
    redacted boolean NOT NULL,
    caller_id bytewise,
    digest bytea,
    PRIMARY KEY (session, log, seq)
);
CREATE UNIQUE INDEX entries_caller_id ON entries (session, log, caller_id) WHERE caller_id IS NOT NULL;

CREATE TABLE state (
    session bigint NOT NULL,
    name bytewise NOT NULL,
    version bigint NOT NULL,
    payload bytea,
    counter bigint,
    expires_ms bigint,
    PRIMARY KEY (session, name)
);
CREATE INDEX state_expiry ON state (expires_ms) WHERE expires_ms IS NOT NULL;

CREATE TABLE writers (
    session bigint NOT NULL,
    writer bytewise NOT NULL,
    stamp_ms bigint NOT NULL,
    outcomes json NOT NULL,                   -- [[counter, version, sequences, kept out, counters]]
    PRIMARY KEY (session, writer)
) WITH (fillfactor = 50);

-- Turns and locks outlive the sessions they are of, so that fences never go back.
CREATE TABLE leases (
    namespace bytewise NOT NULL,
    scope bytewise NOT NULL,
    name bytewise NOT NULL,
    owner text NOT NULL,
    fence bigint NOT NULL,
    until_ms bigint NOT NULL,
    holder text NOT NULL,
    line json NOT NULL,                       -- [[owner, until ms]] by arrival
    PRIMARY KEY (namespace, scope, name)
) WITH (fillfactor = 50);

-- A stage has the key that its session will have, so that publishing moves nothing.
CREATE TABLE stages (
    key bigint PRIMARY KEY,
    namespace bytewise NOT NULL,
    session_id bytewise NOT NULL,
    stage bytewise NOT NULL,
    expires_ms bigint NOT NULL,
    size bigint NOT NULL,
    logs json NOT NULL,
    UNIQUE (namespace, session_id, stage)
);

-- Sessions that were removed, for those who follow changes.
CREATE TABLE gone (
    namespace bytewise NOT NULL,
    id bytewise NOT NULL,
    kind bytewise NOT NULL,
    user_id bytewise,
    version bigint NOT NULL,
    time_ms bigint NOT NULL,
    changed xid8 NOT NULL,
    PRIMARY KEY (namespace, id)
);
CREATE INDEX gone_changed ON gone (namespace, changed);

CREATE TABLE cache (
    namespace bytewise NOT NULL,
    key bytewise NOT NULL,
    value bytea NOT NULL,
    expires_ms bigint,
    used_ms bigint NOT NULL,
    size bigint NOT NULL,
    tags text[] NOT NULL,
    PRIMARY KEY (namespace, key)
);
CREATE INDEX cache_use ON cache (namespace, used_ms, size);
CREATE INDEX cache_tags ON cache USING gin (tags);

CREATE TABLE rates (
    namespace bytewise NOT NULL,
    key bytewise NOT NULL,
    algorithm bytewise NOT NULL,
    state json NOT NULL,                      -- whole numbers, of any size
    expires_ms bigint NOT NULL,
    PRIMARY KEY (namespace, key, algorithm)
) WITH (fillfactor = 50);

CREATE TABLE versions (schema_version integer NOT NULL);
"""
# What is of namespaces, and is removed with one of them; sessions and stages take their parts with them.
NAMESPACED = {
    "sessions": "id",
    "stages": "key",
    "leases": "scope, name",
    "gone": "id",
    "cache": "key",
    "rates": "key, algorithm",
}


def prepare_schema(connection: psycopg.Connection[Any], schema: str, shown: str) -> None:
    """Make the tables if they are missing, once whoever comes at the same time.

    Raises:
        ConfigurationError: the tables are of a newer version, or are not ours, or texts cannot be stored.
        psycopg.Error: the server refused.
    """
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ConfigurationError(
            f"{shown} has the encoding {encoding}; make one with: createdb --encoding=UTF8 "
            "--template=template0 NAME"
        )
    version = _version(connection, schema, shown)
    if version is None:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (schema,))
            version = _version(connection, schema, shown)
            if version is None:
                connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'.encode())
                connection.execute(TABLES.encode())
                connection.execute("INSERT INTO versions VALUES (%s)", (SCHEMA_VERSION,))
                return
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"schema {schema!r} of {shown} was written by a newer miniagent-postgresql (schema {version}, "
            f"this one knows {SCHEMA_VERSION}); run: pip install --upgrade miniagent-postgresql"
        )


def _version(connection: psycopg.Connection[Any], schema: str, shown: str) -> int | None:
    """The version of the tables; None if there are none."""
    found = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename IN ('versions', 'sessions')",
        (schema,),
    ).fetchall()
    if not found:
        return None
    if len(found) == 1:
        raise ConfigurationError(
            f"schema {schema!r} of {shown} holds tables of another application; they were left as they "
            "are; add ?schema=NAME with another name to the URL"
        )
    row = connection.execute("SELECT schema_version FROM versions").fetchone()
    return row[0] if row else 0
