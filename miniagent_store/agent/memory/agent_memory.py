"""What an agent remembers, of whom, and what a model is shown of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from miniagent_store.agent.messages import text_of
from miniagent_store.agent.session_listing import ANONYMOUS
from miniagent_store.agent.token_counting import TokenCounter, estimate_tokens
from miniagent_store.embedder import Embedder
from miniagent_store.errors import InvalidArgumentError
from miniagent_store.options import TTL
from miniagent_store.store.memory.notes import as_notes
from miniagent_store.store.memory.remembering import Remember
from miniagent_store.store.memory.scope import MemoryScope
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Memory, Message, Session


def user_of(session: Session) -> str | None:
    """The scope of a session: its user; None, and so no memory, where nobody knows whose it is."""
    return None if session.user_id in (None, ANONYMOUS) else session.user_id


def what_was_said(message: Message) -> str | None:
    """What to remember of a message: what the user says and the assistant answers, and nothing of tools."""
    if message.role not in ("user", "assistant") or message.tool_calls:
        return None
    return text_of(message.content).strip() or None


@dataclass(frozen=True, slots=True)
class AgentMemory:
    """Has a `SessionAgent` remember what is said, and recall in other sessions what fits a question.

    What is remembered stands in ``store.memory(scope)``. Each message that is taken back (redacted,
    rewound, cleared, its session deleted) takes its memory with it; a session that expires does not, unless
    `forget_on_expiry`.

    What is recalled is shown to the model as a message of the user's role, as summaries are: it holds what
    users have said, and models are trained to obey system messages. In one of those, "ignore your
    instructions" said once would be an order in every later session.

    Args:
        scope: whose memory: a name, or a function of a `Session`, which returns None for no memory. By
            default the session's user; sessions without one, and those of "anonymous", have none, since
            strangers would share it.
        embedder, index: as `SessionStore.memory` takes them.
        remember: what to remember of a message: a function (sync or async) that returns a text, or None.
        k: at most so many memories are recalled.
        tokens: at most so many tokens for what is recalled; 0 recalls nothing. Of a window of tokens it is
            a quarter at most.
        min_score: what is less like the question is not recalled.
        render: what a model is shown of memories.
        counter: tokens of one message.
        ttl: how long each is kept, from when it was said.
        forget_on_expiry: whether memories go with their session.
        timeout: seconds that a turn waits for what is recalled.
        pause: seconds after a failure in which no turn tries to recall, so that an embedder that is away
            does not hold up each of them.

    Raises:
        InvalidArgumentError: a number is out of range.
    """

    scope: str | Callable[[Session], str | None] = user_of
    embedder: str | Embedder = "hash"
    index: str = "auto"
    remember: Remember = what_was_said
    k: int = 8
    tokens: int = 500
    min_score: float | None = None
    render: Callable[[Sequence[Memory]], str] = as_notes
    counter: TokenCounter = field(default=estimate_tokens, repr=False)
    ttl: TTL | None = None
    forget_on_expiry: bool = False
    timeout: float = 5.0
    pause: float = 30.0

    def __post_init__(self) -> None:
        if self.k < 1 or self.tokens < 0:
            raise InvalidArgumentError("an AgentMemory recalls k >= 1 memories in tokens >= 0")
        if not self.timeout > 0 or self.pause < 0:
            raise InvalidArgumentError("an AgentMemory waits timeout > 0 seconds, and pauses pause >= 0")

    def scope_of(self, session: Session) -> str | None:
        """The scope of what is said in a session; None for none."""
        return self.scope if isinstance(self.scope, str) else self.scope(session)

    def open(self, store: SessionStore, scope: str) -> MemoryScope:
        """A scope, with this embedder and index."""
        return store.memory(scope, embedder=self.embedder, index=self.index)

    def message(self, memories: Sequence[Memory]) -> Message:
        """What a model is shown of memories."""
        return Message.user(self.render(memories), metadata=RECALLED)


# In the metadata of the message, so that a model here can tell it from what the user says now.
RECALLED: dict[str, Any] = {"recalled": True}


def is_recalled(message: Message) -> bool:
    """Whether a message is what was recalled, and not said in this session."""
    return message.metadata.get("recalled") is True
