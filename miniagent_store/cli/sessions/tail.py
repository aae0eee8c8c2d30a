"""``sessions tail``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import plain, printable
from miniagent_store.cli.sessions.argument import complete_id
from miniagent_store.cli.settings import store_options, with_store

if TYPE_CHECKING:
    from miniagent_store.cli.conversation import Printer
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Entry, SessionEvent


@click.command(
    "tail",
    short_help="Show the end of a SESSION, and follow it.",
    epilog="""\b
Examples:
  miniagent-store sessions tail 3f9c              the last 10 messages
  miniagent-store sessions tail 3f9c -f           and those to come; Ctrl-C ends it
  miniagent-store sessions tail -f --user ada     which of ada's sessions change
  miniagent-store sessions tail -f --json         which sessions change, as JSON

With --json, one document a line. Following goes on where it stopped when the store was away.""",
)
@click.argument("session", required=False, shell_complete=complete_id)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until the session ends.")
@click.option(
    "-n",
    "--last",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    metavar="N",
    help="Begin with the last N.",
)
@click.option("--log", default="messages", show_default=True, help="Which log.")
@click.option("--user", metavar="ID", help="Without SESSION: only this user's.")
@click.option("--times", is_flag=True, help="Show when each was stored.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document for each.")
@store_options()
def command(
    session: str | None,
    follow: bool,
    last: int,
    log: str,
    user: str | None,
    times: bool,
    as_json: bool,
) -> None:
    """Show the last messages of a SESSION and, with -f, those to come.

    Without SESSION, -f tells which sessions change.
    """
    if session is None and not follow:
        raise click.UsageError("name a SESSION, or follow all of them with -f.")
    if session is not None and user is not None:
        raise click.UsageError("--user is for all sessions of a user: leave out SESSION.")

    async def work(store: SessionStore) -> None:
        if session is None:
            await _follow_all(store, user, as_json)
        else:
            from miniagent_store.cli.conversation import Printer

            await _Tail(store, log, None if as_json else Printer(times=times)).run(
                session, last, follow=follow
            )

    with_store(work)


class _Tail:
    """One session's log, told as it grows.

    Args:
        store: where it is.
        log: which log.
        printer: for people; None for JSON.
    """

    def __init__(self, store: SessionStore, log: str, printer: Printer | None) -> None:
        self._store, self._log, self._printer = store, log, printer

    async def run(self, text: str, last: int, *, follow: bool) -> None:
        from miniagent_store.cli.resolve import find_session

        found = await find_session(self._store, text)
        # With the position of the same moment, so that nothing is missed and nothing comes twice.
        snapshot = await self._store.snapshot(found.id, last=last, logs=[self._log])
        for entry in snapshot.logs.get(self._log, ()):
            self._tell(found.id, entry)
        if not follow:
            return
        async for event in self._store.watch(found.id, after=snapshot.position):
            if event.log == self._log or event.type in {"deleted", "expired"}:
                self._tell_event(event)

    def _tell_event(self, event: SessionEvent) -> None:
        for entry in event.entries:
            self._tell(event.session_id, entry)
        if event.type == "appended":
            return
        if self._printer is None:
            click.echo(json.dumps(plain(event.to_dict())))
        elif event.type == "reset":
            click.echo(f"-- the log was changed from {event.from_seq} on --", err=True)
        else:
            click.echo(
                f"-- the session {'expired' if event.type == 'expired' else 'was deleted'} --", err=True
            )

    def _tell(self, session_id: str, entry: Entry) -> None:
        if self._printer is None:
            told = {"type": "entry", "session_id": session_id, "log": self._log, "entry": entry.to_dict()}
            click.echo(json.dumps(plain(told)))
        else:
            self._printer.entry(entry)


async def _follow_all(store: SessionStore, user: str | None, as_json: bool) -> None:
    from datetime import datetime

    async for event in store.watch(user_id=user):
        if as_json:
            click.echo(json.dumps(plain(event.to_dict())))
            continue
        version = f"version {event.version}" if event.version else ""
        whose = f"user {event.user_id}" if event.user_id else ""
        line = f"{datetime.now():%H:%M:%S}  {event.session_id}  {event.type}  {version}  {whose}"
        click.echo(printable(line.rstrip()))
