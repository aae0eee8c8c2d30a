"""Talking with an agent on a terminal or a pipe; what `chat` and the demo's menu share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import age, console, counted, printable
from miniagent_store.cli.settings import INTERRUPTED, OpenedStore
from miniagent_store.errors import OutcomeUnknownError, StoreError

if TYPE_CHECKING:
    from miniagent_store.session import SessionAgent
    from miniagent_store.values import Session

SHOWN_AT_RESUMING = 4


class ModelFailedError(StoreError):
    """The model raised something of its own; nothing of the turn was stored."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"the model failed ({type(error).__name__}: {error}); nothing was stored")


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
            ModelFailedError: the model did not answer.
            KeyboardInterrupt: Ctrl-C; the turn was not stored, unless its answer was complete.
        """
        return self._opened.run(self._say(text, quiet))

    async def _say(self, text: str, quiet: bool) -> str:
        if self.session_id is not None:
            return await self._answer(self.session_id, text, quiet)
        session_id = await self._manager.create_or_resume_session(user_id=self._user_id)
        self.session_id = session_id
        try:
            return await self._answer(session_id, text, quiet)
        except OutcomeUnknownError:
            raise
        except BaseException:
            await self._forget_unused(session_id)
            raise

    async def _forget_unused(self, session_id: str) -> None:
        """Remove a new session in which nothing was said after all."""
        with suppress(StoreError):
            # A turn whose commit had begun at Ctrl-C is there, and stays.
            if not (await self._opened.store.get(session_id)).message_count:
                await self._opened.store.delete(session_id)
                self.session_id = None

    async def _answer(self, session_id: str, text: str, quiet: bool) -> str:
        printed = False

        def show(chunk: str) -> None:
            nonlocal printed
            printed = True
            click.echo(printable(chunk), nl=False)

        try:
            answer = await self._agent.run_session(session_id, text, stream=False if quiet else show)
        except (StoreError, BrokenPipeError):
            raise
        except Exception as error:
            # Whatever a model raises ends a turn, with one line; a conversation may go on.
            raise ModelFailedError(error) from error
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


def answer(talk: Talk, text: str, *, label: str) -> None:
    """Say `text` and print the answer as it comes; Ctrl-C stops the answer, not the conversation."""
    from rich.text import Text

    console().print(Text(label, style="bold green"), end="")
    try:
        talk.say(text)
    except KeyboardInterrupt:
        click.echo()
        note("stopped; a turn is kept only when its answer is complete")


@contextmanager
def leaving(last_words: Callable[[], None]) -> Iterator[None]:
    """Say `last_words` whichever way a person leaves, and leave quietly at Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo()  # the prompt still stands there
        last_words()
        raise click.exceptions.Exit(INTERRUPTED) from None
    last_words()
