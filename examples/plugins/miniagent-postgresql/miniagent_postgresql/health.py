"""What a look at the server shows."""

from __future__ import annotations

from typing import Any

from miniagent_postgresql.schema import SCHEMA_VERSION
from miniagent_postgresql.transaction import Transaction
from miniagent_store.values import Finding


def details(transaction: Transaction) -> dict[str, Any]:
    """Of the server, for `Health`."""
    row = transaction.row(
        "SELECT current_setting('server_version'), current_setting('synchronous_commit'), "
        "pg_database_size(current_database())"
    )
    assert row is not None
    version, synchronous_commit, size = row
    return {
        "server_version": version,
        "synchronous_commit": synchronous_commit,
        "size": size,
        "schema_version": SCHEMA_VERSION,
    }


def findings(transaction: Transaction) -> list[Finding]:
    """What loses data, or may."""
    rows = transaction.rows(
        "SELECT name, setting FROM pg_settings WHERE name IN "
        "('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'"
    )
    return [
        Finding(
            "error" if name == "fsync" else "warning",
            f"{name} is off: a crash of the server loses commits that were acknowledged",
            f"set {name} = on in postgresql.conf, and reload",
        )
        for name, _ in rows
    ]
