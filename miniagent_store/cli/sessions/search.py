"""``sessions search``."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import plain, printable
from miniagent_store.cli.sessions.filters import Filters, filter_options
from miniagent_store.cli.settings import store_options, with_store

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Entry, Session

# Entries that are read at once, and so held at once.
PAGE = 200
# Characters that are shown before and behind what was found.
AROUND = 60


@click.command(
    "search",
    short_help="Find a text in messages.",
    epilog="""\b
Examples:
  miniagent-store sessions search refund
  miniagent-store sessions search 'order \\d{6}' --regex --user ada --since 7d
  miniagent-store sessions search refund --role user --json | jq -r .session_id | sort -u

Every message of the sessions that fit is read, page by page: name a user, an agent, a tag or --since where
there are many. Upper and lower case are the same unless --case is given. With --json, one document a line.

Exit codes: 0 found, 1 not found, or a session could not be read.""",
)
@click.argument("text")
@click.option("--regex", is_flag=True, help="TEXT is a regular expression, as Python has them.")
@click.option("--case", is_flag=True, help="Upper and lower case differ.")
@click.option("--role", metavar="ROLE", help="Only messages of this role, such as user.")
@click.option("--log", default="messages", show_default=True, help="Which log.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Stop after N messages.")
@filter_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document for each message.")
@store_options()
@click.pass_context
def command(
    ctx: click.Context,
    filters: Filters,
    text: str,
    regex: bool,
    case: bool,
    role: str | None,
    log: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """Find TEXT in the messages of sessions, the most recently active first."""
    if not text:
        raise click.UsageError("TEXT must not be empty.")
    try:
        pattern = re.compile(text if regex else re.escape(text), 0 if case else re.IGNORECASE)
    except re.error as error:
        raise click.UsageError(f"TEXT is no regular expression: {error}.") from None
    search = _Search(filters, pattern, role, log, limit, as_json)
    with_store(search.run)
    if not search.found and not search.unread:
        click.echo("nothing was found", err=True)
    ctx.exit(0 if search.found and not search.unread else 1)


class _Search:
    """A walk over messages, which tells what it finds as it finds it.

    Attributes:
        found: how many messages.
        unread: how many sessions could not be read.
    """

    def __init__(
        self,
        filters: Filters,
        pattern: re.Pattern[str],
        role: str | None,
        log: str,
        limit: int | None,
        as_json: bool,
    ) -> None:
        self._filters, self._pattern, self._role = filters, pattern, role
        self._log, self._limit, self._as_json = log, limit, as_json
        self.found = self.unread = 0

    async def run(self, store: SessionStore) -> None:
        from miniagent_store.cli.progress_bar import progress_bar
        from miniagent_store.errors import (
            KeyProviderError,
            SerializationError,
            SessionDamagedError,
            SessionNotFoundError,
            VersionConflictError,
        )

        total = None if self._filters.since else await store.count_sessions(**self._filters.listed)
        done = 0
        with progress_bar("searching", total) as tell:
            async for session in self._filters.sessions(store):
                try:
                    async for entry, around in self._in_session(store, session):
                        self._tell(session, entry, around)
                        if self.found == self._limit:
                            return
                except SessionNotFoundError:
                    pass  # deleted meanwhile
                except (
                    KeyProviderError,
                    SerializationError,
                    SessionDamagedError,
                    VersionConflictError,
                ) as error:
                    self.unread += 1
                    click.echo(f"cannot be read: {printable(str(error))}", err=True)
                done += 1
                tell(done)

    async def _in_session(
        self, store: SessionStore, session: Session
    ) -> AsyncIterator[tuple[Entry, tuple[str, str, str]]]:
        after = 0
        while True:
            entries = await store.entries(session.id, log=self._log, after=after, limit=PAGE)
            for entry in entries:
                if (around := self._look(entry)) is not None:
                    yield entry, around
            if len(entries) < PAGE:
                return
            after = entries[-1].seq

    def _look(self, entry: Entry) -> tuple[str, str, str] | None:
        """What was found, and what stands around it."""
        from miniagent_store.cli.conversation import message_lines

        if entry.redacted or (self._role is not None and entry.value.get("role") != self._role):
            return None
        said = "\n".join(message_lines(entry.value))
        match = self._pattern.search(said)
        if match is None:
            return None
        start, end = match.span()
        before = ("…" if start > AROUND else "") + said[max(start - AROUND, 0) : start]
        behind = said[end : end + AROUND] + ("…" if len(said) > end + AROUND else "")
        return before, match[0], behind

    def _tell(self, session: Session, entry: Entry, around: tuple[str, str, str]) -> None:
        self.found += 1
        if self._as_json:
            found = {
                "session_id": session.id,
                "user_id": session.user_id,
                "log": self._log,
                "entry": entry.to_dict(),
            }
            click.echo(json.dumps(plain(found)))
            return
        role = printable(str(entry.value.get("role") or entry.log)).replace("\n", " ")
        before, match, behind = (part.replace("\n", " ").replace("\t", " ") for part in around)
        # Colours go away by themselves where stdout is no terminal.
        click.echo(
            f"{click.style(session.id, fg='cyan')}  {entry.seq:>4}  {role}: {before}"
            f"{click.style(match, bold=True, fg='red')}{behind}"
        )
