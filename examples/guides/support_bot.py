"""A support bot: a case that goes on for days, mails that come twice, and a person who takes over.

python examples/guides/support_bot.py                           # in memory
python examples/guides/support_bot.py redis://localhost:6379/0  # or on any store
"""

import asyncio
import sys

from miniagent_store import Message, SessionStore, open_store


async def model(messages: list[Message]) -> str:
    """In place of a real one."""
    return f"I have looked at your {sum(each.role == 'user' for each in messages)} messages."


async def receive(store: SessionStore, case: str, mail_id: str, text: str) -> str:
    """What the webhook of the mail server calls, now and then twice for one mail."""
    async with store.turn(case, wait=30) as turn:  # one mail at a time, on whichever instance
        if await store.state(case).get(f"mail/{mail_id}", default=False):
            return "(this mail was taken already)"
        question = Message.user(text)
        turn.append(question)
        turn.state.set(f"mail/{mail_id}", True, ttl="7d")  # in the same commit as the answer
        if "with=person" in turn.session.tags:
            return "(a colleague reads it)"
        answer = await model([*turn.history, question])
        turn.append(Message.assistant(answer))
    return answer


async def take_over(store: SessionStore, case: str, who: str, text: str) -> None:
    """A person answers: their words, their name and the tag are one commit."""
    async with store.turn(case, wait=30) as turn:
        turn.append(Message.assistant(text, name=who))
        turn.tags = {"product": "lamp", "with": "person"}


async def main(url: str = "memory://") -> None:
    async with open_store(url, ttl="90d") as store:
        case = (await store.create(user_id="customer-17", tags={"product": "lamp"})).id

        print("bot:", await receive(store, case, "mail-1", "My lamp flickers."))
        print("bot:", await receive(store, case, "mail-1", "My lamp flickers."))
        print("bot:", await receive(store, case, "mail-2", "It still does."))
        await take_over(store, case, "Grace", "I send you a new one.")
        print("bot:", await receive(store, case, "mail-3", "Thank you! My number is 0151 234567."))

        # What must not be kept goes, and a tombstone says when and why.
        last = (await store.entries(case, last=1))[0]
        await store.redact(case, last.seq, reason="phone number")

        for message in await store.history(case):
            print(f"{message.name or message.role:>9}: {message.content or message.metadata['reason']}")
        for session in await store.list(tags={"with": "person"}):
            print(f"with people: {session.user_id}, {session.message_count} messages")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
