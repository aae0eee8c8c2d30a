"""The seed's simple face of an agent."""

from __future__ import annotations

from typing import Any

from miniagent_store.agent.answering import StreamTo
from miniagent_store.agent.session_agent import SessionAgent
from miniagent_store.errors import SessionExistsError


class SessionManager:
    """Sessions and chat in seven calls.

    Args:
        agent: who answers.

    Example:
        >>> import asyncio
        >>> async def main():
        ...     async with SessionAgent(store="memory://", model="echo") as agent:
        ...         manager = SessionManager(agent)
        ...         session_id = await manager.create_or_resume_session(user_id="ada")
        ...         await manager.chat(session_id, "Hello!")
        ...         return await manager.chat(session_id, "What did I just say?")
        >>> asyncio.run(main())
        'You said: "Hello!"'
    """

    def __init__(self, agent: SessionAgent) -> None:
        self.agent = agent

    async def create_or_resume_session(
        self, session_id: str | None = None, user_id: str | None = None
    ) -> str:
        """Take up the session of this id, or make it; without an id, make one. Its id."""
        if session_id is None:
            return await self.agent.create_session(user_id=user_id)
        while not await self.agent.resume_session(session_id):
            try:
                return await self.agent.create_session(user_id=user_id, session_id=session_id)
            except SessionExistsError:
                continue  # somebody else has made it in between
        return session_id

    async def chat(self, session_id: str, message: str, stream: bool | StreamTo = True) -> str:
        """Say something in a session; the whole answer. Raises as `SessionAgent.run_session`.

        Args:
            session_id: a session that exists.
            message: what the user says.
            stream: whether callbacks hear the pieces of the answer; or a function to call with each.
        """
        return await self.agent.run_session(session_id, message, stream=stream)

    async def get_history(self, session_id: str) -> list[dict[str, Any]]:
        """The messages, as `SessionAgent.get_session_history` gives them; none if there is no session."""
        return await self.agent.get_session_history(session_id) or []

    async def clear_history(self, session_id: str) -> bool:
        """Empty the history of a session; False if there is none."""
        return await self.agent.clear_session_history(session_id)

    async def end_session(self, session_id: str) -> bool:
        """Note that a conversation has ended, which stays stored; False if there is none."""
        return await self.agent.end_session(session_id)

    async def list_sessions(self, user_id: str | None = None) -> list[dict[str, Any]]:
        """All sessions, those last active first; see `SessionAgent.list_active_sessions`."""
        return await self.agent.list_active_sessions(user_id=user_id)
