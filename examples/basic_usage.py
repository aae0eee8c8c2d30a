"""The ten lines that matter. Run it twice: it remembers.

python examples/basic_usage.py                           # in the user's data folder
python examples/basic_usage.py sqlite:///sessions.db     # or on any store
"""

import asyncio
import sys

from miniagent_store import AgentConfig
from miniagent_store.session import SessionAgent, SessionManager


async def main(url: str | None = None) -> None:
    async with SessionAgent(config=AgentConfig(name="MyBot"), store=url) as agent:
        manager = SessionManager(agent)
        session_id = await manager.create_or_resume_session("basic-usage", user_id="user123")
        print(await manager.chat(session_id, "What did I say last time?"))
        print(await manager.chat(session_id, "Hello!"))
        print(await manager.chat(session_id, "What did I just say?"))
        for session in await manager.list_sessions(user_id="user123"):
            print(f"{session['session_id']}: {session['message_count']} messages")


asyncio.run(main(*sys.argv[1:2]))
