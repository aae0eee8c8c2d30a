"""What a model is shown of a turn."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from miniagent_store.agent.context_window import ContextWindow
from miniagent_store.agent.messages import exchanges
from miniagent_store.values import Message


@dataclass(slots=True)
class Prompting:
    """Puts the messages together that a model is given.

    Attributes:
        prompts: what stands before all else, and is not stored.
        window: how much is seen; None for all that was read.
        overhead: tokens that the tools' schemas take.
        pinned: messages of the history that are always seen.
        recalled: of other sessions, as a message; or nothing.
        summary: of what is not seen any more, as a message; or nothing.
        history: the messages of the turns before that may be seen.
    """

    prompts: list[Message]
    window: ContextWindow | None = None
    overhead: int = 0
    pinned: list[Message] = field(default_factory=list)
    recalled: list[Message] = field(default_factory=list)
    summary: list[Message] = field(default_factory=list)
    history: list[Message] = field(default_factory=list)

    def messages(self, question: Message, rounds: Sequence[Message] = ()) -> list[Message]:
        """What the model is given.

        Args:
            question: what the user says.
            rounds: the calls of tools, and their results, since then.

        Raises:
            ContextTooLargeError: what must be seen does not fit into the window.
        """
        if self.window is None:
            history = [message for group in exchanges(self.history) for message in group]
            return [*self.prompts, *self.recalled, *history, question, *rounds]
        return self.window.choose(
            self.history,
            always=[*self.prompts, *self.pinned],
            recalled=self.recalled,
            summary=self.summary,
            question=[question],
            rounds=rounds,
            overhead=self.overhead,
        )

    def past(self, question: Message) -> list[Message]:
        """What of it stands before the question, without the prompts.

        Raises:
            ContextTooLargeError: as `messages`.
        """
        return self.messages(question)[len(self.prompts) : -1]

    def tokens(self, messages: Iterable[Message]) -> int | None:
        """How many tokens the model is sent with these messages; None without a window."""
        return None if self.window is None else self.overhead + self.window.count(messages)


def tokens_of_schemas(window: ContextWindow, schemas: Sequence[Mapping[str, Any]]) -> int:
    """How many tokens a model is told of tools."""
    return window.counter(Message.system(json.dumps(schemas, default=str))) if schemas else 0
