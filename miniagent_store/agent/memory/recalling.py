"""What of earlier sessions fits a question."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from miniagent_store.agent.context_window import ContextWindow
from miniagent_store.agent.memory.agent_memory import AgentMemory
from miniagent_store.agent.token_counting import cut_text
from miniagent_store.store.memory.remembering import LONGEST
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Memory, Message, Session

logger: logging.Logger = logging.getLogger("miniagent_store")
# More messages of the session itself are not looked past.
MOST_PASSED_OVER = 1000
# At most one of so many parts of a window is memories.
SHARE_OF_A_WINDOW = 4
# Digits of scores in metadata: what is beyond them is noise.
DIGITS = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """What of its own session a model sees anyway.

    Attributes:
        start: sequence of the first message; those after it are seen.
        others: sequences of what is seen from before.
    """

    start: int
    others: Collection[int] = ()

    def has(self, memory: Memory, session: Session) -> bool:
        """Whether a memory is of a message that is seen."""
        source = memory.source
        if source is None or source.session_id != session.id or source.seq is None:
            return False
        return source.seq >= self.start or source.seq in self.others


@dataclass(frozen=True, slots=True)
class Recalled:
    """What was recalled for a question.

    Attributes:
        memories: what the model is shown, the oldest first.
        messages: how it is shown; none where nothing was recalled.
    """

    memories: Sequence[Memory] = ()
    messages: Sequence[Message] = ()

    def mark(self, said: list[Message]) -> None:
        """Note in the answer what it may draw on: ids and scores, the best first."""
        if not self.memories:
            return
        marks = [
            {"id": each.id, "score": None if each.score is None else round(each.score, DIGITS)}
            for each in sorted(self.memories, key=lambda each: -(each.score or 0.0))
        ]
        for at in range(len(said) - 1, -1, -1):
            message = said[at]
            if message.role == "assistant" and not message.tool_calls:
                metadata = {**message.metadata, "recalled": marks}
                said[at] = Message.from_dict({**message, "metadata": metadata}, time=message.time)
                return


class Recalling:
    """Searches before a turn, and lets the turn go on without where that fails.

    Args:
        store: where memories are.
        memory: which, and how many.
    """

    def __init__(self, store: SessionStore, memory: AgentMemory) -> None:
        self._store, self._memory = store, memory
        self._failed_at = float("-inf")

    def budget(self, window: ContextWindow) -> int:
        """How many tokens of a window are set apart for what is recalled."""
        tokens = self._memory.tokens
        return tokens if window.tokens is None else min(tokens, window.tokens // SHARE_OF_A_WINDOW)

    async def recall(
        self, session: Session, question: str, seen: Seen, tokens: int | None = None
    ) -> Recalled:
        """What fits a question, and is not seen anyway. It never fails, but says so in the log.

        Args:
            session: in which it is asked.
            question: what the user says.
            seen: what of the session the model sees.
            tokens: at most so many, if that is less than the memory's own.
        """
        tokens = self._memory.tokens if tokens is None else tokens
        memory, scope = self._memory, self._memory.scope_of(session)
        is_paused = time.monotonic() < self._failed_at + memory.pause
        if scope is None or not tokens or not question.strip() or is_paused:
            return Recalled()
        try:
            async with asyncio.timeout(memory.timeout):
                found = await self._search(scope, session, question, seen)
        except Exception as error:
            self._failed_at = time.monotonic()
            logger.warning(
                "nothing was recalled in session %r, and will not be for %g s (%s: %s)",
                session.id,
                memory.pause,
                type(error).__name__,
                error or f"it took more than {memory.timeout:g} s",
            )
            logger.debug("nothing was recalled", exc_info=True)
            return Recalled()
        chosen = self._that_fit(found, tokens)
        return Recalled(chosen, [memory.message(chosen)]) if chosen else Recalled()

    async def _search(self, scope: str, session: Session, question: str, seen: Seen) -> list[Memory]:
        memory = self._memory
        wanted, passed_over = memory.k, session.position.seq() - seen.start + 1 + len(seen.others)
        only = None
        if seen.start <= 1:
            only = {"session_id": {"$ne": session.id}}
        elif passed_over > 0:
            wanted += min(passed_over, MOST_PASSED_OVER)
        # As much of it as is remembered of a message; no embedder takes a book.
        found = await memory.open(self._store, scope).search(
            question[:LONGEST], k=wanted, filter=only, min_score=memory.min_score
        )
        return [each for each in found if not seen.has(each, session)][: memory.k]

    def _that_fit(self, found: Sequence[Memory], tokens: int) -> list[Memory]:
        """Those that fit into the budget, the nearest first; what was said twice is shown once."""
        chosen: list[Memory] = []
        said: set[str] = set()
        for each in found:
            plain = " ".join(each.text.split()).casefold()
            if plain in said:
                continue
            if self._fits([*chosen, each], tokens):
                tried: Memory | None = each
            else:
                tried = None if chosen else self._cut(each, tokens)
            if tried is not None:
                said.add(plain)
                chosen.append(tried)
        return sorted(chosen, key=_as_said)

    def _fits(self, memories: Sequence[Memory], tokens: int) -> bool:
        ordered = sorted(memories, key=_as_said)
        return self._memory.counter(self._memory.message(ordered)) <= tokens

    def _cut(self, memory: Memory, tokens: int) -> Memory | None:
        """As much of a long one as fits."""
        around = self._memory.counter(self._memory.message([replace(memory, text="…")]))
        text = cut_text(memory.text, tokens - around, self._memory.counter)
        cut = replace(memory, text=text)
        return cut if text and self._fits([cut], tokens) else None


def _as_said(memory: Memory) -> tuple[datetime, int, str]:
    """The order in which things were said: a question and its answer are of one commit, and of one time."""
    source = memory.source
    return memory.time, 0 if source is None or source.seq is None else source.seq, memory.id
