"""A support bot that remembers a customer's earlier cases, by meaning and by the numbers in them.

python examples/guides/support_bot_remembers.py                           # in memory
python examples/guides/support_bot_remembers.py redis://localhost:6379/0  # or on any store
"""

import asyncio
import sys

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.values import MemorySource


async def close_case(store: SessionStore, customer: str, case: str, product: str) -> None:
    """What a case was about is remembered when it is closed; the case itself may expire."""
    said = await store.history(case)
    await store.memory(customer).add(
        " ".join(str(each.content) for each in said),
        id=case,  # closed twice, it is remembered once
        metadata={"product": product},
        source=MemorySource(case),
    )


async def main(url: str = "memory://") -> None:
    async with open_store(url, ttl="90d") as store:
        for product, question, answer in (
            ("lamp", "My lamp flickers, order A-1042.", "We sent a new transformer."),
            ("kettle", "The kettle leaks, order B-7.", "We refunded it."),
        ):
            case = (await store.create(user_id="customer-17", tags={"product": product})).id
            await store.append(case, Message.user(question), Message.assistant(answer))
            await close_case(store, "customer-17", case, product)

        # Weeks later, in a new case. Numbers are found by their words, which no embedder knows.
        memory = store.memory("customer-17")
        for query, wanted in (("the lamp flickers again", None), ("B-7", None), ("order", "lamp")):
            filter = {"product": wanted} if wanted else None
            [found] = await memory.search(query, k=1, filter=filter)
            print(f"{query!r}: {found.text}")

        # Another customer asks the same, and there is nothing to find.
        print(await store.memory("customer-18").search("lamp"))

        # The customer wants to be forgotten.
        await memory.forget()
        print(await memory.search("lamp"))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
