"""A model without a model: offline, deterministic, and it can say what it was told before."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from miniagent_store.agent.config import AgentConfig
from miniagent_store.agent.memory.agent_memory import is_recalled
from miniagent_store.agent.messages import text_of
from miniagent_store.agent.models import TokenUsage
from miniagent_store.errors import ConfigurationError
from miniagent_store.values import Message

_WHAT_I_SAID = re.compile(
    r"\bwhat (did|have) i (just |last )?(say|said|tell|told|ask|asked)\b", re.IGNORECASE
)
_WHAT_NAME = re.compile(r"\bwhat(?:'s| is) my name\b", re.IGNORECASE)
_WHAT_I_TOLD = re.compile(r"\b(do you|what do you) (remember|recall|know)\b", re.IGNORECASE)
_MY_NAME = re.compile(r"\bmy name(?:'s| is) ([^\W\d_][\w'-]*)", re.IGNORECASE)
_WORD_STARTS = re.compile(r"(?<=\s)(?=\S)")


def make_echo(rest: str) -> EchoModel:
    """The model of the string "echo".

    Raises:
        ConfigurationError: something stands after "echo:".
    """
    if rest:
        raise ConfigurationError(f"the model 'echo' takes nothing after its name, not {rest!r}")
    return EchoModel()


class EchoModel:
    """Repeats what the user says, and remembers as much as the conversation holds, and an `AgentMemory`.

    Example:
        >>> echo_answer(["Hello!"])
        'You said: Hello! (message 1)'
        >>> echo_answer(["Hello!", "What did I just say?"])
        'You said: "Hello!"'
        >>> echo_answer(["My name is Ada.", "What is my name?"])
        'Your name is Ada.'
        >>> echo_answer(["What do you know of my dog?"], "[Notes]\\n- My dog is called Rex.")
        'I remember: My dog is called Rex.'
    """

    def __call__(
        self, messages: list[Message], config: AgentConfig, /, *, usage: bool = False
    ) -> AsyncIterator[str | TokenUsage]:
        """The answer, word by word; a word is a token."""
        said = [
            text_of(message.content)
            for message in messages
            if message.role == "user" and not is_recalled(message)
        ]
        recalled = [text_of(message.content) for message in messages if is_recalled(message)]
        answer = echo_answer(said, "\n".join(recalled))
        read = sum(len(text_of(message.content).split()) for message in messages) if usage else 0
        return _words(answer, TokenUsage(read, len(answer.split())) if usage else None)


def echo_answer(said: list[str], recalled: str = "") -> str:
    """What to answer when the user has said this much, the last last.

    Args:
        said: in this conversation.
        recalled: from others, a line for each below the first.
    """
    *before, last = said or [""]
    if _WHAT_I_SAID.search(last):
        return f'You said: "{before[-1]}"' if before else "You have not said anything before."
    if _WHAT_NAME.search(last):
        names = [match[1] for text in [recalled, *before] for match in _MY_NAME.finditer(text)]
        return f"Your name is {names[-1]}." if names else "You have not told me your name."
    if recalled and _WHAT_I_TOLD.search(last):
        notes = [line.removeprefix("- ") for line in recalled.splitlines()[1:]]
        return f"I remember: {'; '.join(notes)}"
    return f"You said: {last} (message {len(said)})"


async def _words(text: str, usage: TokenUsage | None) -> AsyncIterator[str | TokenUsage]:
    for word in _WORD_STARTS.split(text):
        yield word
        await asyncio.sleep(0)
    if usage is not None:
        yield usage
