"""One of several processes that talk in one conversation at once.

python -m tests.integrations.pydantic_ai.talker (conversations|steps) URL NAME TURNS
"""

from __future__ import annotations

import asyncio
import json
import sys

from pydantic_ai.messages import ModelMessage
from pydantic_ai.usage import UsageLimits

from tests.integrations.pydantic_ai.scripted import make_agent

CONVERSATION = "c"
# The framework's own is 50 requests a conversation.
NO_LIMIT = UsageLimits(request_limit=None)


async def with_conversations(url: str, name: str, turns: int) -> int:
    """Turns one after another; one that meets a conflict is done again on what is there by then."""
    from pydantic_ai.conversation import Conversation
    from pydantic_ai.conversation_store import ConversationConflict

    from miniagent_store.integrations.pydantic_ai import MiniAgentConversationStore

    store, agent, conflicts = MiniAgentConversationStore(url), make_agent(), 0
    for turn in range(turns):
        while True:
            conversation = await store.load(CONVERSATION) or Conversation(conversation_id=CONVERSATION)
            result = await agent.run(f"{name} {turn}", conversation=conversation, usage_limits=NO_LIMIT)
            try:
                await store.save(result)
            except ConversationConflict:
                conflicts += 1
                continue
            break
    return conflicts


async def with_steps(url: str, name: str, turns: int) -> int:
    """Runs of one conversation, each with a history of its own."""
    from pydantic_ai_harness import StepPersistence

    from miniagent_store.integrations.pydantic_ai import MiniAgentStepStore

    store, history = MiniAgentStepStore(url), list[ModelMessage]()
    for turn in range(turns):
        agent = make_agent(capabilities=[StepPersistence(store=store, run_id=f"{name}-{turn}")])
        result = await agent.run(f"{name} {turn}", message_history=history, conversation_id=CONVERSATION)
        history = result.all_messages()
    return 0


if __name__ == "__main__":
    talk = with_conversations if sys.argv[1] == "conversations" else with_steps
    print(json.dumps(asyncio.run(talk(sys.argv[2], sys.argv[3], int(sys.argv[4])))))
