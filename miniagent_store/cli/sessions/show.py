"""``sessions show``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import age, bytes_text, counted, emit_json, plain, show_fields
from miniagent_store.cli.sessions.argument import session_argument
from miniagent_store.cli.settings import json_option, store_options, with_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Session


@click.command(
    "show",
    short_help="Show record, logs and state of a SESSION.",
    epilog="""\b
Examples:
  miniagent-store sessions show 3f9c
  miniagent-store sessions show 3f9c --json | jq .session.metadata""",
)
@session_argument
@json_option
@store_options()
def command(session: str, as_json: bool) -> None:
    """Show the record of a SESSION, its logs and the names of its state."""

    async def read(store: SessionStore) -> tuple[Session, dict[str, int], list[str]]:
        from miniagent_store.cli.resolve import find_session

        found = await find_session(store, session)
        # Record and state in one consistent read; last=0 leaves the messages where they are.
        snapshot = await store.snapshot(found.id, last=0, state=True)
        logs = {log: await store.count(found.id, log=log) for log, _ in snapshot.position.sequences}
        return snapshot.session, logs, list(snapshot.state)

    record, logs, names = with_store(read)
    if as_json:
        emit_json({"session": record.to_dict(), "logs": logs, "state": names})
    else:
        show_fields(_fields(record, logs, names))


def _fields(record: Session, logs: dict[str, int], names: list[str]) -> Iterator[tuple[str, str]]:
    yield "id", record.id
    if record.kind != "session":
        yield "kind", record.kind
    yield "user", record.user_id or "-"
    yield "agent", record.agent or "-"
    yield "messages", str(record.message_count)
    yield "size", bytes_text(record.size)
    yield "created", _moment(record.created_at)
    yield "last activity", _moment(record.last_activity)
    yield "expires", _moment(record.expires_at)
    yield "version", f"{record.version} (epoch {record.epoch})"
    yield "tags", ", ".join(record.tags) or "-"
    metadata = json.dumps(plain(record.metadata), ensure_ascii=False) if record.metadata else "-"
    yield "metadata", metadata
    for number, (log, count) in enumerate(logs.items() or [("-", 0)]):
        yield "" if number else "logs", log if log == "-" else f"{log}: {counted(count, 'entry')}"
    yield "state", ", ".join(names) or "-"


def _moment(time: datetime | None) -> str:
    return "never" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M:%S}  ({age(time)})"
