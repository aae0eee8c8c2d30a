"""A personal assistant: it knows what a user prefers, goes on where they left off, and can go back.

python examples/guides/personal_assistant.py                           # in memory
python examples/guides/personal_assistant.py redis://localhost:6379/0  # or on any store
"""

import asyncio
import sys

from miniagent_store import AgentConfig, Message, Session, SessionStore, open_store
from miniagent_store.session import SessionAgent


async def model(messages: list[Message], config: AgentConfig, *, session: Session) -> str:
    """In place of "openai:gpt-4o-mini"."""
    asked = [message.content for message in messages if message.role == "user"]
    return f"{'Bonjour' if session.metadata.get('language') == 'fr' else 'Hello'}! You asked: {asked}"


async def last_conversation(store: SessionStore, user_id: str) -> Session:
    """Where the user left off, on whichever device; a new conversation with their preferences otherwise."""
    page = await store.list(user_id=user_id, limit=1)
    if page.items:
        return page.items[0]
    preferences = await store.user(user_id).get("preferences", default={})
    return await store.create(user_id=user_id, metadata=preferences)


async def main(url: str = "memory://") -> None:
    async with open_store(url, ttl="never") as store, SessionAgent(store=store, model=model) as assistant:
        await store.user("ada").set("preferences", {"language": "fr"})

        session = await last_conversation(store, "ada")
        print(await assistant.run_session(session.id, "Book a table for two."))

        # On the telephone, an hour later.
        session = await last_conversation(store, "ada")
        print(await assistant.run_session(session.id, "Make it four."))

        # "What if?" in a copy, which the conversation knows nothing of.
        what_if = await store.fork(session.id, upto=2)
        print(await assistant.run_session(what_if.id, "And if it were six?"))

        # Taken back: as if it had not been said.
        await store.rewind(session.id, to=2)
        print([message.content for message in await store.history(session.id)][:1])

        # All that is kept of a user, in a few lines.
        for each in await store.list(user_id="ada"):
            await store.delete(each.id)
        await store.user("ada").clear()
        print(len(await store.list(user_id="ada")), "conversations are left")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
