"""What the tests of the command line share: a seeded store, and the command in and out of process."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from click.testing import CliRunner, Result

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.cli.root import cli

T = TypeVar("T")

ADA_1 = "aaaa1111-first"
ADA_2 = "aaaa2222-second"
BOB = "bbbb3333"
ESCAPE = "\x1b"


def run(*arguments: str, store: str | None = None, stdin: str | None = None) -> Result:
    """The command in this process."""
    url = ["--store", store] if store else []
    return CliRunner().invoke(cli, [*url, *arguments], input=stdin, catch_exceptions=False)


def run_json(*arguments: str, store: str) -> Any:
    """The document that a command prints with --json."""
    result = run(*arguments, "--json", store=store)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def run_process(
    *arguments: str, store: str | None = None, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "miniagent_store", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        env=environment_for(store, **environment),
        check=False,
    )


def environment_for(store: str | None, **more: str) -> dict[str, str]:
    """The environment of a process that is to use `store`."""
    kept = {name: value for name, value in os.environ.items() if name != "MINIAGENT_STORE_URL"}
    return {**kept, **({"MINIAGENT_STORE_URL": store} if store else {}), **more}


def in_store(url: str, work: Callable[[SessionStore], Coroutine[Any, Any, T]]) -> T:
    """Do something with a store, apart from the command."""

    async def main() -> T:
        async with open_store(url) as store:
            return await work(store)

    return asyncio.run(main())


async def seed(store: SessionStore) -> None:
    """Two sessions of Ada's, the later of which has seen everything, and one of Bob's."""
    await store.create(ADA_1, user_id="ada", agent="helper", tags=["urgent"])
    await store.append(ADA_1, Message.user("Hello"), Message.assistant("Hi"))
    await store.create(
        ADA_2,
        user_id="ada",
        agent="helper",
        tags={"team": "blue"},
        metadata={"since": datetime(2030, 1, 1, tzinfo=UTC), "raw": b"\x00", "[red]": "é"},
        ttl="2h",
    )
    call = {"id": "call-1", "function": {"name": "search", "arguments": '{"query": "cats"}'}}
    await store.append(
        ADA_2,
        Message.user(f"Look [bold]here[/bold] {ESCAPE}[31mred{ESCAPE}[0m"),
        Message.assistant(None, tool_calls=[call]),
        Message.tool("two\nlines", tool_call_id="call-1"),
        Message.assistant([{"type": "text", "text": "Found"}, {"type": "image", "url": "x"}]),
        Message.user("My card is 4111"),
    )
    await store.append(ADA_2, {"type": "tool_call", "name": "search"}, log="events")
    await store.redact(ADA_2, 5, reason="a card number")
    await store.state(ADA_2).set("plan", ["one", "two"])
    await store.create(BOB, user_id="bob")


def terminal(*arguments: str, store: str, keys: list[tuple[str, str]]) -> tuple[int, str]:
    """The command on a terminal: wait for a text, then type; its exit code and all it showed."""
    pid, screen = pty.fork()
    if pid == 0:
        # As on a terminal, also where the tests were started in the background, which ignores it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.environ.update(environment_for(store, TERM="xterm-256color"))
        os.execv(sys.executable, [sys.executable, "-m", "miniagent_store", *arguments])
    shown, seen = "", 0
    waiting = list(keys)
    deadline = time.monotonic() + 20
    while True:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        if waiting and waiting[0][0] in shown[seen:]:
            seen = len(shown)
            os.write(screen, waiting.pop(0)[1].encode())
        if not select.select([screen], [], [], 1)[0]:
            # Between its prompt and its read `input` is deaf for a moment: press again, as one would.
            if not waiting and keys and keys[-1][1] == "\x03":
                os.write(screen, b"\x03")
            continue
        try:
            piece = os.read(screen, 65536)
        except OSError:
            break  # how Linux tells that the other side is closed
        if not piece:
            break
        shown += piece.decode(errors="replace")
    os.close(screen)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown
