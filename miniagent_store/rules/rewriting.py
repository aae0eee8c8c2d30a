"""How stored bytes are replaced by others that mean the same."""

from __future__ import annotations

import os
from dataclasses import replace

from miniagent_store.backend import EntryRewrite, Rewrite, RewriteResult, ValueRewrite
from miniagent_store.rules.rows import SessionRows, live_record


def apply_rewrite(rows: SessionRows, rewrite: Rewrite, now_ms: int) -> RewriteResult:
    """Replace what is still as it was read; see `Backend.rewrite`."""
    record = live_record(rows, now_ms)
    if record is None or record.incarnation != rewrite.incarnation:
        return RewriteResult(0, rewrite.parts)
    # Bytes by which each part that was replaced has grown.
    grown = [_replace_entry(rows, entry) for entry in rewrite.entries]
    grown += [_replace_value(rows, value) for value in rewrite.values]
    metadata = record.metadata
    if rewrite.metadata is not None and rewrite.metadata[0] == metadata:
        metadata = rewrite.metadata[1]
        grown.append(len(metadata) - len(record.metadata))
    data_key = record.data_key
    if rewrite.data_key is not None and rewrite.data_key[0] == data_key:
        data_key = rewrite.data_key[1]
        grown.append(0)
    replaced = [each for each in grown if each is not None]
    if replaced:
        # With a new guard: a commit that was made ready on the old record holds the old metadata.
        token = record.token[:16] + os.urandom(8)
        size = record.size + sum(replaced)
        rows.save_record(replace(record, metadata=metadata, data_key=data_key, size=size, token=token))
    return RewriteResult(len(replaced), rewrite.parts - len(replaced))


def _replace_entry(rows: SessionRows, entry: EntryRewrite) -> int | None:
    standing = rows.entries(entry.log, entry.seq, entry.seq)
    if [(each.id, each.payload) for each in standing] != [(entry.entry_id, entry.old)]:
        return None
    rows.replace_payload(entry.log, entry.seq, entry.new)
    return len(entry.new) - len(entry.old)


def _replace_value(rows: SessionRows, value: ValueRewrite) -> int | None:
    standing = rows.value(value.name)
    if standing is None or standing.payload != value.old:
        return None
    rows.put_value(replace(standing, payload=value.new))
    return len(value.new) - len(value.old)
