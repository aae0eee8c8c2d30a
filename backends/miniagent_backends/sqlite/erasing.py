"""All that stands in a namespace, removed a little in each transaction so that commits go on in between.

Tables are found by their column ``namespace``, so that none is forgotten.
"""

from __future__ import annotations

from collections import Counter

from miniagent_backends.sqlite.rows import SqlRows
from miniagent_backends.sqlite.staging import drop_stage
from miniagent_backends.sqlite.transaction import Transaction
from miniagent_store.rules.namespaces import check_erasable, start_of_tenants

# One step takes no more sessions than this, and none after it has taken so many entries.
STEP_SESSIONS, STEP_ENTRIES = 50, 2_000
MORE = "more"
# Saved at the end of the transaction, from what its jobs have counted.
DERIVED = {"counts"}


def erase(transaction: Transaction, limit: int) -> tuple[Counter[str], str | None]:
    """See `Backend.erase`. There is no place to go on at: what is left says it.

    Whatever is no session is removed where no session is left, so what is written meanwhile stays whole.
    """
    check_erasable(transaction.namespace)
    removed: Counter[str] = Counter()
    for sort, step in (("sessions", _erase_sessions), ("stages", _erase_stages)):
        removed[sort] = step(transaction, limit)
        if _has_rows(transaction, sort):
            return +removed, MORE
    transaction.count_nothing()
    for table, key in _tables(transaction):
        removed[table] += transaction.execute(
            f"DELETE FROM {table} WHERE namespace = ? AND ({key}) IN "
            f"(SELECT {key} FROM {table} WHERE namespace = ? LIMIT ?)",
            (transaction.namespace, transaction.namespace, limit - removed.total()),
        ).rowcount
        if removed.total() >= limit:
            return +removed, MORE
    return +removed, None


def _has_rows(transaction: Transaction, table: str) -> bool:
    row = transaction.execute(
        f"SELECT 1 FROM {table} WHERE namespace = ? LIMIT 1", (transaction.namespace,)
    )
    return row.fetchone() is not None


def _erase_sessions(transaction: Transaction, limit: int) -> int:
    ids = transaction.execute(
        "SELECT id FROM sessions WHERE namespace = ? LIMIT ?",
        (transaction.namespace, min(limit, STEP_SESSIONS)),
    ).fetchall()
    removed = entries = 0
    for (session_id,) in ids:
        rows = SqlRows(transaction, session_id)
        record = rows.record()
        assert record is not None, "selected in this transaction"
        rows.drop()
        transaction.wake_session(session_id)
        removed += 1
        entries += sum(tail.count for tail in record.logs.values())
        if entries >= STEP_ENTRIES:
            break
    return removed


def _erase_stages(transaction: Transaction, limit: int) -> int:
    keys = transaction.execute(
        "SELECT key FROM stages WHERE namespace = ? LIMIT ?",
        (transaction.namespace, min(limit, STEP_SESSIONS)),
    ).fetchall()
    for (key,) in keys:
        drop_stage(transaction, key)
    return len(keys)


def namespaces(transaction: Transaction, cursor: str | None, limit: int) -> tuple[list[str], str | None]:
    """See `Backend.namespaces`. Each index is leapt through, so that rows do not count, but names."""
    start = start_of_tenants(transaction.namespace)
    found: list[str] = []
    after = start if cursor is None else cursor
    tables = [table for table, _ in _tables(transaction)]
    while len(found) < limit:
        following = [
            name
            for table in tables
            for (name,) in transaction.execute(
                f"SELECT min(namespace) FROM {table} WHERE namespace > ?", (after,)
            )
            if name is not None and name.startswith(start)
        ]
        if not following:
            return found, None
        after = min(following)
        found.append(after)
    return found, after


def _tables(transaction: Transaction) -> list[tuple[str, str]]:
    """Tables whose rows are of namespaces, and what identifies a row of each."""
    columns = transaction.execute(
        "SELECT t.name, c.name, c.pk FROM sqlite_master t JOIN pragma_table_info(t.name) c "
        "WHERE t.type = 'table' ORDER BY t.name, c.pk"
    ).fetchall()
    keys: dict[str, list[str]] = {}
    for table, column, position in columns:
        keys.setdefault(table, [])
        if position:
            keys[table].append(column)
    ours = [table for table, column, _ in columns if column == "namespace" and table not in DERIVED]
    return [(table, ", ".join(keys[table]) or "rowid") for table in ours]
