"""Summaries of what a context window no longer holds, kept beside the log."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from miniagent_store.agent.messages import text_of
from miniagent_store.agent.summarizer import ModelSummarizer
from miniagent_store.agent.token_counting import TokenCounter, cut_text, estimate_tokens
from miniagent_store.errors import InvalidArgumentError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import MESSAGES, Message, Position

SUMMARY = "agent.summary"
PAGE = 200
Summarizer = Callable[[Sequence[Message], str | None], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Summary:
    """What was said up to a message of the log "messages".

    Attributes:
        text: the summary.
        upto: the sequence of the last message that it covers.
        position: of the session when those messages were read; tells whether they still stand.
    """

    text: str
    upto: int
    position: Position

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the state value "agent.summary"."""
        return {"text": self.text, "upto": self.upto, "position": str(self.position)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Summary:
        """Of what `to_dict` made."""
        return cls(plain["text"], plain["upto"], Position.parse(plain["position"]))

    @property
    def message(self) -> Message:
        """What a model sees of it: of the user's role, since it holds what users have said."""
        return Message.user(f"[Summary of the conversation before this point]\n{self.text}")


class Compaction:
    """Keeps a summary of the messages that do not fit into a context window any more.

    The log stays whole. The summary is a value in the session's state, one for all instances: it covers the
    log up to a message, and the next one is made of it and of what came after. When messages that it covers
    are rewound, cleared, trimmed or redacted, it is dropped, and a new one is made of what is left.

    Args:
        summarize: an async function of messages and the summary before them (or None), which returns the
            new summary; or a model, as text ("openai:gpt-4o-mini") or as a `ModelSummarizer`.
        keep: when the history overflows its window, so much of the window stays as it was said, and the
            rest becomes summary: between 0 and 1.
        max_tokens: a summary that is longer is cut; also one that takes more than a quarter of the window.
        chunk_tokens: at most so many tokens of messages are summarised at once. By default half of the
            window's.
        timeout: seconds that the summary of a chunk may take, and that a turn waits for all of them.
        pause: seconds after a failure in which no turn tries again, so that a summarizer that is away does
            not hold up each of them.

    Raises:
        InvalidArgumentError: an argument is out of range.
        ConfigurationError: nobody serves the model.
    """

    keep: float
    max_tokens: int
    timeout: float

    def __init__(
        self,
        summarize: Summarizer | str,
        *,
        keep: float = 0.5,
        max_tokens: int = 500,
        chunk_tokens: int | None = None,
        timeout: float = 60,
        pause: float = 30,
    ) -> None:
        if not 0 <= keep < 1:
            raise InvalidArgumentError(f"keep must be from 0 to below 1, not {keep!r}")
        if max_tokens < 1 or (chunk_tokens is not None and chunk_tokens < 1):
            raise InvalidArgumentError("max_tokens and chunk_tokens must be above 0")
        self.keep, self.max_tokens, self.timeout = keep, max_tokens, timeout
        self._summarize: Summarizer = (
            ModelSummarizer(summarize, max_tokens=max_tokens) if isinstance(summarize, str) else summarize
        )
        self._chunk_tokens = chunk_tokens
        self._pause, self._failed_at = pause, float("-inf")

    @property
    def is_paused(self) -> bool:
        """Whether it failed a short time ago, in a turn of this process."""
        return time.monotonic() < self._failed_at + self._pause

    def note_failure(self) -> None:
        """Begin a pause."""
        self._failed_at = time.monotonic()

    async def read(self, store: SessionStore, session_id: str) -> Summary | None:
        """The summary that a session has, if what it covers still stands.

        Raises:
            SessionNotFoundError: there is no such session.
        """
        return (await self._read(store, session_id))[0]

    async def compact(
        self,
        store: SessionStore,
        session_id: str,
        *,
        upto: int,
        counter: TokenCounter = estimate_tokens,
        chunk_tokens: int = 4000,
        summary_tokens: int | None = None,
        skip: Callable[[Message], bool] = lambda message: False,
    ) -> Summary | None:
        """Have a summary that covers a session up to a message, and return it.

        It is computed once, however many instances ask: one does it, under a lock, and the others wait and
        find it. Each chunk is stored when it is done, so that what fails in the middle goes on from there.

        Args:
            store, session_id: the session.
            upto: sequence of the last message to be covered.
            counter: tokens of one message.
            chunk_tokens: unless the compaction has its own.
            summary_tokens: at most so many for the summary, if that is less than `max_tokens`.
            skip: tells which messages are left out, since they are seen anyway.

        Raises:
            SessionNotFoundError: there is no such session.
            LockTimeoutError: another instance took too long.
            TimeoutError: the summary took longer than `timeout`.
            Exception: whatever the summarizer raised.
        """
        limit = self._chunk_tokens or chunk_tokens
        most = min(self.max_tokens, summary_tokens or self.max_tokens)
        wait = 2 * self.timeout + 10
        async with store.lock(_lock_name(session_id), wait=wait):
            summary, position = await self._read(store, session_id)
            upto = min(upto, position.seq())
            while (covered := summary.upto if summary is not None else 0) < upto:
                chunk, last = await _chunk(store, session_id, covered, upto, counter, limit, skip)
                text = summary.text if summary is not None else None
                if chunk:
                    async with asyncio.timeout(self.timeout):
                        text = await self._summarize(chunk, text)
                    if not isinstance(text, str):
                        raise InvalidArgumentError(f"a summary is a text, not {type(text).__name__}")
                    text = cut_text(text, most, counter)
                summary = Summary(text or "", last, position)
                async with store.batch(session_id) as batch:
                    batch.state.set(SUMMARY, summary.to_dict())
        return summary

    async def _read(self, store: SessionStore, session_id: str) -> tuple[Summary | None, Position]:
        snapshot = await store.snapshot(session_id, last=0, state=(SUMMARY,))
        stored = await standing_summary(store, session_id, snapshot.state, snapshot.position)
        return stored, snapshot.position

    async def aclose(self) -> None:
        """Close the model, if it was given as text."""
        if isinstance(self._summarize, ModelSummarizer):
            await self._summarize.aclose()


async def standing_summary(
    store: SessionStore, session_id: str, state: Mapping[str, Any], now: Position
) -> Summary | None:
    """The summary in a session's state, if what it covers was not changed until now."""
    if SUMMARY not in state:
        return None
    summary = Summary.from_dict(state[SUMMARY])
    changed = await first_change(store, session_id, summary.position, now)
    return summary if changed is None or changed > summary.upto else None


async def first_change(
    store: SessionStore, session_id: str, position: Position, now: Position
) -> int | None:
    """The first message that was changed, other than by appending, after a position; None if none was."""
    if (position.incarnation, position.epoch) == (now.incarnation, now.epoch):
        return None
    snapshot = await store.snapshot(session_id, after=position, last=0)
    return snapshot.resets.get(MESSAGES)


def _lock_name(session_id: str) -> str:
    """Of a session; its id may be as long as a name may be, so it is not a part of it."""
    return f"agent.compaction/{hashlib.sha256(session_id.encode()).hexdigest()}"


async def _chunk(
    store: SessionStore,
    session_id: str,
    after: int,
    upto: int,
    counter: TokenCounter,
    limit: int,
    skip: Callable[[Message], bool],
) -> tuple[list[Message], int]:
    """The next messages to be summarised, and the sequence up to which they go."""
    chunk: list[Message] = []
    tokens = 0
    while after < upto:
        entries = await store.entries(session_id, after=after, before=upto + 1, limit=PAGE)
        for entry in entries:
            message = entry.message
            if not entry.redacted and not skip(message):
                message = _no_larger_than(limit, message, counter)
                tokens += counter(message)
                if chunk and tokens > limit:
                    return chunk, after
                chunk.append(message)
            after = entry.seq
        if len(entries) < PAGE:
            break
    return chunk, upto


def _no_larger_than(limit: int, message: Message, counter: TokenCounter) -> Message:
    """The message, or as much of its text as fits."""
    if counter(message) <= limit:
        return message
    return Message(message.role, cut_text(text_of(message.content), limit, counter), name=message.name)
