"""``miniagent-store demo``: a tour that needs no input, or the seed's menu."""

# The steps of the tour are shown as source: a name before its return tells more than a bare `return`.
# ruff: noqa: RET504

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from miniagent_store.cli.output import console, printable
from miniagent_store.cli.settings import current, store_options
from miniagent_store.errors import StoreError

if TYPE_CHECKING:
    from miniagent_store.session import SessionManager

QUESTION = "What did I just say?"
FAREWELL = """
That was it. Next:
  miniagent-store chat                 talk yourself; --last goes on where you left off
  miniagent-store demo --interactive   the same with a menu
  miniagent-store sessions list        what is stored
  miniagent-store --help               the rest"""


@click.command(
    "demo",
    epilog="""\b
Examples:
  miniagent-store demo                                on a temporary file, which is removed
  miniagent-store demo --store sqlite:///demo.db      on a store of yours; it tidies up after itself
  miniagent-store demo --interactive                  talk yourself; sessions are kept""",
)
@click.option("-i", "--interactive", is_flag=True, help="A menu instead of a tour: new, list, resume, …")
@click.option("--model", default="echo", show_default=True, help="Who answers.")
@store_options()
def command(interactive: bool, model: str) -> None:
    """See in a few seconds what this is: talk, restart, be remembered."""
    if interactive:
        from miniagent_store.cli.menu import run_menu

        run_menu(model)
        return
    with _place() as (url, temporary):
        asyncio.run(_tour(url, model, temporary=temporary))


@contextmanager
def _place() -> Iterator[tuple[str, bool]]:
    """The store that was asked for, or a temporary one; and whether it is temporary."""
    if (asked := current().url) is not None:
        yield asked, False
        return
    with tempfile.TemporaryDirectory(prefix="miniagent-demo-") as folder:
        yield f"sqlite:///{Path(folder, 'demo.db')}", True


# The steps. What the tour shows is the source of these functions, so it is what runs: the docstring is
# the narration, the body the code.


async def open_agent(url: str, model: str) -> SessionManager:
    """Open an agent on a store. Any backend will do; only the URL changes."""
    from miniagent_store import AgentConfig
    from miniagent_store.session import SessionAgent, SessionManager

    agent = SessionAgent(AgentConfig(name="demo"), store=url, model=model)
    await agent.initialize()
    manager = SessionManager(agent)
    return manager


async def create(manager: SessionManager) -> str:
    """Create a session."""
    session_id = await manager.create_or_resume_session(user_id="demo")
    return session_id


async def talk(manager: SessionManager, session_id: str) -> None:
    """Talk. A turn is one atomic commit: question and answer, or neither."""
    await manager.chat(session_id, "Hello! My name is Ada.")
    await manager.chat(session_id, "I take my tea without milk.")


async def list_sessions(manager: SessionManager) -> list[dict[str, Any]]:
    """Back in the first process: list the sessions of a user."""
    sessions = await manager.list_sessions(user_id="demo")
    return sessions


async def history(manager: SessionManager, session_id: str) -> list[dict[str, Any]]:
    """Read the history: what the other process said is there, in order."""
    messages = await manager.get_history(session_id)
    return messages


async def clear(manager: SessionManager, session_id: str) -> list[dict[str, Any]]:
    """Clear it: the session stays, its messages go."""
    await manager.clear_history(session_id)
    return await manager.get_history(session_id)


async def end(manager: SessionManager, session_id: str) -> bool:
    """End the session. It stays stored, until it expires or is deleted."""
    await manager.end_session(session_id)
    return await manager.agent.store.delete(session_id)


async def _tour(url: str, model: str, *, temporary: bool) -> None:
    from miniagent_store.url import StoreURL

    tour = _Tour()
    shown = StoreURL.parse(url)
    tour.say(f'url = "{shown}"' + ("  (temporary: removed at the end)" if temporary else ""))
    tour.step(open_agent)
    manager = await open_agent(url, model)
    try:
        tour.step(create)
        session_id = await create(manager)
        tour.result(session_id)
        try:
            await _with_session(tour, url, model, manager, session_id)
        except BaseException:
            # A store of yours is left as it was found; what went wrong first is what is told.
            with suppress(StoreError):
                await manager.agent.store.delete(session_id)
            raise
    finally:
        await manager.agent.shutdown()
    tour.say(FAREWELL)


async def _with_session(
    tour: _Tour, url: str, model: str, manager: SessionManager, session_id: str
) -> None:
    tour.step(talk)
    await talk(manager, session_id)
    tour.conversation(await manager.get_history(session_id))
    await _second_process(tour, url, model, session_id)
    tour.step(list_sessions)
    for each in await list_sessions(manager):
        tour.result(
            f"{each['session_id'][:8]}  {each['message_count']} messages  {each['created_at'][:19]}"
        )
    tour.step(history)
    tour.conversation(await history(manager, session_id))
    tour.step(clear)
    tour.result(repr(await clear(manager, session_id)))
    tour.step(end)
    tour.result(repr(await end(manager, session_id)))


async def _second_process(tour: _Tour, url: str, model: str, session_id: str) -> None:
    """Ask in another process what was said in this one."""
    if url.startswith("memory:"):
        tour.say("\n(No second process: memory:// lives in this one. Try the demo with sqlite:///demo.db.)")
        return
    tour.title("Now a second process takes the session up, as after a restart or on another machine.")
    arguments = ["chat", session_id, "--once", QUESTION]
    tour.code(f'miniagent-store chat {session_id[:8]} --once "{QUESTION}"')
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "miniagent_store", *arguments, "--model", model),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Not an argument: a password in the URL would stand in the list of processes.
        env={**os.environ, "MINIAGENT_STORE_URL": url},
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise click.ClickException(f"the second process failed: {err.decode(errors='replace').strip()}")
    answer = out.decode(errors="replace").strip()
    tour.conversation([{"role": "user", "content": QUESTION}, {"role": "assistant", "content": answer}])


class _Tour:
    """Prints the tour: numbered titles, code, results."""

    def __init__(self) -> None:
        from miniagent_store.cli.conversation import Printer

        self._console = console(wide=True)
        self._printer = Printer()
        self._number = 0

    def say(self, text: str) -> None:
        self._print(text)

    def title(self, text: str) -> None:
        self._number += 1
        self._print(f"\n{self._number}. {text}", "bold")

    def code(self, text: str, prompt: str = "$ ") -> None:
        for line in text.splitlines():
            self._print(f"   {prompt}{line}".rstrip(), "cyan")

    def step(self, function: Callable[..., Any]) -> None:
        """Tell what `function` does, and show how."""
        self.title(inspect.getdoc(function) or "")
        self.code(_body(function), prompt="  ")

    def result(self, text: str) -> None:
        self._print(f"   → {printable(text)}", "green")

    def conversation(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            self._printer.message(message, indent="     ")

    def _print(self, text: str, style: str = "") -> None:
        from rich.text import Text

        self._console.print(Text(text, style=style))


def _body(function: Callable[..., Any]) -> str:
    """The source of a function without its head, its docstring, and the returning of a name."""
    try:
        source = inspect.getsource(function)
    except OSError:
        # Installed without sources: the tour tells its story without code.
        return ""
    body = textwrap.dedent(source.split('"""', 2)[2]).strip()
    lines = [
        line for line in body.splitlines() if not (line.startswith("return ") and line[7:].isidentifier())
    ]
    return "\n".join(line.removeprefix("return ") for line in lines)
