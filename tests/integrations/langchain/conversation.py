"""A chain with a tool and a history; as a program it talks, and kills itself where it is told to.

python -m tests.integrations.langchain.conversation URL SESSION SPEAKER TURNS [POINT]
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableLambda

from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.langchain import MiniAgentChatMessageHistory


def chain_on(handle: StoreHandle, reached: Callable[[str], None] = lambda point: None) -> Any:
    """A chain that answers with what its tool found; `reached` hears where it is."""
    with warnings.catch_warnings():
        # It is deprecated, and gone in 2.0.
        warnings.simplefilter("ignore")
        from langchain_core.runnables.history import RunnableWithMessageHistory

        def answer(messages: list[BaseMessage]) -> list[BaseMessage]:
            asked = str(messages[-1].content)
            reached(f"call {asked}")
            call = AIMessage(
                "", tool_calls=[{"name": "look", "args": {"for": asked}, "id": f"call-{asked}"}]
            )
            reached(f"tool {asked}")
            result = ToolMessage(f"found {asked}", tool_call_id=f"call-{asked}")
            reached(f"answer {asked}")
            return [call, result, AIMessage(f"it is found {asked}")]

        return RunnableWithMessageHistory(
            RunnableLambda(answer), lambda session_id: MiniAgentChatMessageHistory(session_id, handle)
        )


def converse(chain: Any, handle: StoreHandle, session_id: str, speaker: str, turns: int) -> None:
    """Say what has not been said yet, turn after turn."""
    config = {"configurable": {"session_id": session_id}}
    said = {each.content for each in MiniAgentChatMessageHistory(session_id, handle).messages}
    for turn in range(1, turns + 1):
        if f"{speaker}{turn}" not in said:
            chain.invoke([HumanMessage(f"{speaker}{turn}")], config)


def main(url: str, session_id: str, speaker: str, turns: str, point: str = "") -> None:
    def reached(here: str) -> None:
        if here == point:
            os.kill(os.getpid(), signal.SIGKILL)

    handle = StoreHandle(url)
    converse(chain_on(handle, reached), handle, session_id, speaker, int(turns))


if __name__ == "__main__":
    main(*sys.argv[1:])
