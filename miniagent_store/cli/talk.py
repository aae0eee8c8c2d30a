"""Talking with an agent on a terminal or a pipe; what `chat` and the demo's menu share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import age, console, counted, printable
from miniagent_store.cli.settings import OpenedStore

if TYPE_CHECKING:
    from miniagent_store.session import SessionAgent
    from miniagent_store.values import Session

SHOWN_AT_RESUMING = 4


class Talk:
    """A conversation that is kept, one session at a time.

    Args:
        opened: the store.
        agent: who answers.
        user_id: whose new sessions are.
    """

    def __init__(self, opened: OpenedStore, agent: SessionAgent, *, user_id: str | None) -> None:
        from miniagent_store.session import SessionManager

        self._opened, self._agent, self._user_id = opened, agent, user_id
        self._manager = SessionManager(agent)
        self.session_id: str | None = None

    def resume(self, session: Session) -> None:
        """Go on with `session`."""
        self.session_id = session.id

    def begin(self) -> None:
        """Go on with a new session. It is stored with the first thing said, so that looking leaves none."""
        self.session_id = None

    def say(self, text: str, *, quiet: bool = False) -> str:
        """Say `text`, print the answer as it comes unless `quiet`, and return it.

        Raises:
            KeyboardInterrupt: Ctrl-C; the turn was not stored.
        """
        return self._opened.run(self._say(text, quiet))

    async def _say(self, text: str, quiet: bool) -> str:
        if self.session_id is None:
            self.session_id = await self._manager.create_or_resume_session(user_id=self._user_id)
        printed = False

        def show(chunk: str) -> None:
            nonlocal printed
            printed = True
            click.echo(printable(chunk), nl=False)

        answer = await self._agent.run_session(self.session_id, text, stream=None if quiet else show)
        if not quiet:
            click.echo("" if printed else printable(answer))
        return answer

    def show_history(self, *, last: int | None = None) -> None:
        """Print what was said, or the last of it."""
        from miniagent_store.cli.conversation import Printer

        if self.session_id is None:
            click.echo("nothing was said yet")
            return
        entries = self._opened.run(self._opened.store.entries(self.session_id, last=last))
        printer = Printer()
        for entry in entries:
            printer.entry(entry)
        if not entries:
            click.echo("nothing was said yet")

    def clear(self) -> None:
        """Forget what was said."""
        if self.session_id is not None:
            self._opened.run(self._manager.clear_history(self.session_id))


@contextmanager
def talking(opened: OpenedStore, *, model: str, name: str, user_id: str | None = None) -> Iterator[Talk]:
    """An agent on a store, ready to talk.

    Args:
        opened: the store.
        model: such as "echo" or "openai:gpt-4o-mini".
        name: of the agent, as listings show it.
        user_id: whose new sessions are.
    """
    from miniagent_store import AgentConfig
    from miniagent_store.session import SessionAgent

    agent = SessionAgent(AgentConfig(name=name), store=opened.store, model=model)
    opened.run(agent.initialize())
    try:
        yield Talk(opened, agent, user_id=user_id)
    finally:
        opened.run(agent.shutdown())


def ask(prompt: str) -> str | None:
    """A line from a person (or a pipe), without blanks around it; None where there are no more.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    if sys.stdin.isatty():
        try:
            # Line editing and this run's lines under "arrow up"; nothing is written to a file.
            import readline  # noqa: F401
        except ImportError:
            pass
    try:
        return input(prompt).strip()
    except EOFError:
        # The prompt still stands there.
        click.echo()
        return None


def describe(session: Session) -> str:
    """A session in one line."""
    return (
        f"session {session.id[:8]}, {counted(session.message_count, 'message')}, "
        f"last {age(session.last_activity)}"
    )


def note(text: str) -> None:
    """Something for people, not part of the output: on stderr, so that a pipe gets only the answer."""
    if sys.stderr.isatty():
        click.secho(printable(text), dim=True, err=True)
    else:
        click.echo(printable(text), err=True)


def role_label(role: str) -> None:
    """Print who speaks, before what is streamed."""
    from rich.text import Text

    console().print(Text(f"{role}> ", style="bold green"), end="")
