"""An MCP server whose sessions' state is in our store; as a program it speaks over stdin and stdout.

python -m tests.integrations.key_value.counting_server URL [POINT]
"""

from __future__ import annotations

import os
import signal
import sys

from fastmcp import FastMCP
from fastmcp.server.dependencies import get_session
from fastmcp.server.sessions import SessionId, SessionProvider

from miniagent_store.integrations.key_value import MiniAgentKeyValueStore


def server_on(url: str, point: str = "") -> FastMCP:
    """A server with a tool that notes what it is told; it kills itself where it is told to."""

    def reached(here: str) -> None:
        if here == point:
            os.kill(os.getpid(), signal.SIGKILL)

    server: FastMCP = FastMCP("counting", session_state_store=MiniAgentKeyValueStore(url))
    server.add_provider(SessionProvider())

    @server.tool
    async def note(session_id: SessionId, word: str) -> list[str]:
        """All words of a session, with this one; twice the same is once."""
        session = await get_session(session_id)
        reached(f"before {word}")
        words: list[str] = await session.get("words", [])
        if word not in words:
            words = [*words, word]
        await session.set("words", words)
        reached(f"after {word}")
        return words

    return server


if __name__ == "__main__":
    server_on(*sys.argv[1:]).run(show_banner=False)
