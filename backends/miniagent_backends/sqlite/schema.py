"""The tables, and how a file becomes ours.

Entries stand in a table with a rowid and one index: measured against ``WITHOUT ROWID`` and packed
integer keys, it writes a third to a half of the pages (new rows go to the end of the table, whichever
session they are of) and wastes no space on payloads over 1 kB; reading the last 20 costs 10 µs more.
"""

from __future__ import annotations

import sqlite3

from miniagent_backends.sqlite.errors import code_of, not_a_database
from miniagent_store.errors import ConfigurationError

APPLICATION_ID = 0x6D616773  # "mags"
SCHEMA_VERSION = 3

# No semicolon but at the end of a statement: create_tables() splits there.
# Keys of sessions and stages, and the order of changes, are tickets: one rising number for all.
TABLES = """
CREATE TABLE tickets (last INTEGER NOT NULL);
INSERT INTO tickets VALUES (0);

CREATE TABLE sessions (
    key INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    user_id TEXT,
    agent TEXT,
    created_ms INTEGER NOT NULL,
    incarnation TEXT NOT NULL,
    last_activity_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    ttl_ms INTEGER,
    sliding INTEGER NOT NULL,
    version INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    state_version INTEGER NOT NULL,
    metadata_version INTEGER NOT NULL,
    token BLOB NOT NULL,
    size INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    changed INTEGER NOT NULL,     -- ticket of its last change
    tags BLOB,                    -- msgpack: list of str, or NULL
    logs BLOB NOT NULL,           -- msgpack: {log: [base, count]}
    resets BLOB,                  -- msgpack: [[epoch, {log: seq}]], or NULL
    metadata BLOB NOT NULL,
    lock_fence INTEGER NOT NULL DEFAULT 0,
    data_key BLOB                 -- how the session's data key is kept, or NULL
);
CREATE UNIQUE INDEX sessions_id ON sessions (namespace, id);
CREATE INDEX sessions_activity ON sessions (namespace, kind, last_activity_ms, id);
CREATE INDEX sessions_user ON sessions (namespace, kind, user_id, last_activity_ms, id)
    WHERE user_id IS NOT NULL;
CREATE INDEX sessions_agent ON sessions (namespace, kind, agent, last_activity_ms, id)
    WHERE agent IS NOT NULL;
CREATE INDEX sessions_expiry ON sessions (namespace, expires_ms) WHERE expires_ms IS NOT NULL;
CREATE INDEX sessions_changed ON sessions (namespace, changed);

CREATE TABLE tags (
    namespace TEXT NOT NULL,
    kind TEXT NOT NULL,
    tag TEXT NOT NULL,
    last_activity_ms INTEGER NOT NULL,
    id TEXT NOT NULL,
    session INTEGER NOT NULL,
    PRIMARY KEY (namespace, kind, tag, last_activity_ms, id)
) WITHOUT ROWID;

CREATE TABLE entries (
    session INTEGER NOT NULL,
    log TEXT NOT NULL,
    seq INTEGER NOT NULL,
    version INTEGER NOT NULL,
    id BLOB NOT NULL,
    time_ms INTEGER NOT NULL,
    redacted INTEGER NOT NULL,
    caller_id TEXT,
    digest BLOB,
    payload BLOB NOT NULL
);
CREATE UNIQUE INDEX entries_seq ON entries (session, log, seq);
CREATE UNIQUE INDEX entries_caller_id ON entries (session, log, caller_id) WHERE caller_id IS NOT NULL;

CREATE TABLE state (
    session INTEGER NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    expires_ms INTEGER,
    counter INTEGER,
    payload BLOB
);
CREATE UNIQUE INDEX state_name ON state (session, name);
CREATE INDEX state_expiry ON state (expires_ms) WHERE expires_ms IS NOT NULL;

CREATE TABLE writers (
    session INTEGER NOT NULL,
    writer TEXT NOT NULL,
    stamp_ms INTEGER NOT NULL,
    outcomes BLOB NOT NULL        -- msgpack values: [counter, version, sequences, kept out, counters]
);
CREATE UNIQUE INDEX writers_writer ON writers (session, writer);

-- Turns and locks outlive the sessions they are of, so that fences never go back.
CREATE TABLE leases (
    namespace TEXT NOT NULL,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    fence INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    holder TEXT NOT NULL,
    line BLOB,                    -- msgpack: [[owner, until ms]] by arrival, or NULL
    PRIMARY KEY (namespace, scope, name)
) WITHOUT ROWID;

-- A stage has the key that its session will have, so that publishing moves nothing.
CREATE TABLE stages (
    key INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    session_id TEXT NOT NULL,
    stage TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    size INTEGER NOT NULL,
    logs BLOB NOT NULL
);
CREATE UNIQUE INDEX stages_stage ON stages (namespace, session_id, stage);

-- Sessions that were removed, for those who follow changes.
CREATE TABLE gone (
    changed INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    user_id TEXT,
    version INTEGER NOT NULL,
    time_ms INTEGER NOT NULL
);
CREATE UNIQUE INDEX gone_id ON gone (namespace, id);

CREATE TABLE cache (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    expires_ms INTEGER,
    used_ms INTEGER NOT NULL,
    size INTEGER NOT NULL,
    tags TEXT,                    -- each between line feeds, or NULL
    value BLOB NOT NULL
);
CREATE UNIQUE INDEX cache_key ON cache (namespace, key);
CREATE INDEX cache_expiry ON cache (namespace, expires_ms) WHERE expires_ms IS NOT NULL;
CREATE INDEX cache_use ON cache (namespace, used_ms, expires_ms, size);
CREATE INDEX cache_tags ON cache (namespace, tags, key) WHERE tags IS NOT NULL;

CREATE TABLE rates (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    state BLOB NOT NULL,          -- msgpack: whole numbers
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (namespace, key, algorithm)
) WITHOUT ROWID;
"""


# What turns a file of an older version into one of the next.
UPGRADES = {
    1: "ALTER TABLE sessions ADD COLUMN data_key BLOB",
    # Cached values may go at any time, and counts of rates are of use for a period or two.
    2: """
DROP TABLE cache;
CREATE TABLE cache (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    expires_ms INTEGER,
    used_ms INTEGER NOT NULL,
    size INTEGER NOT NULL,
    tags TEXT,
    value BLOB NOT NULL
);
CREATE UNIQUE INDEX cache_key ON cache (namespace, key);
CREATE INDEX cache_expiry ON cache (namespace, expires_ms) WHERE expires_ms IS NOT NULL;
CREATE INDEX cache_use ON cache (namespace, used_ms, expires_ms, size);
CREATE INDEX cache_tags ON cache (namespace, tags, key) WHERE tags IS NOT NULL;

DROP TABLE rates;
CREATE TABLE rates (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    state BLOB NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (namespace, key, algorithm)
) WITHOUT ROWID;

ALTER TABLE sessions ADD COLUMN lock_fence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN line BLOB
""",
}


def is_ours(connection: sqlite3.Connection, path: str) -> bool:
    """Whether the file has our tables; False if it is empty. Reads only.

    Raises:
        ConfigurationError: it is something else, or of a newer version.
    """
    try:
        connection.execute("BEGIN")
        application, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
        (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        if code_of(error) == sqlite3.SQLITE_NOTADB:
            raise not_a_database(path) from error
        raise
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    if application == 0 and version == 0 and objects == 0:
        return False
    if application != APPLICATION_ID:
        raise ConfigurationError(
            f"{path} is the SQLite database of another application; it was left as it is; "
            "use another file name"
        )
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"{path} was written by a newer miniagent-store (schema {version}, this one knows "
            f"{SCHEMA_VERSION}); run: pip install --upgrade miniagent-store"
        )
    return True


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the file ours. Inside a transaction."""
    for statement in TABLES.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def upgrade_tables(connection: sqlite3.Connection) -> None:
    """Bring a file of an older version up to date. Inside a transaction."""
    version = _pragma(connection, "user_version")
    while version < SCHEMA_VERSION:
        for statement in UPGRADES[version].split(";"):
            connection.execute(statement)
        version += 1
        connection.execute(f"PRAGMA user_version = {version}")


def is_older(connection: sqlite3.Connection) -> bool:
    """Whether a file of ours needs `upgrade_tables`."""
    return _pragma(connection, "user_version") < SCHEMA_VERSION


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
