"""What of a long conversation a model sees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from miniagent_store.agent.messages import exchanges, text_of
from miniagent_store.agent.token_counting import TokenCounter, cut_text, estimate_tokens
from miniagent_store.errors import ContextTooLargeError, InvalidArgumentError
from miniagent_store.values import Message

# Where not even so many tokens are left for a result, it is not cut but an error.
LEAST_OF_A_RESULT = 32
_EMPTY = Message.user("")


@dataclass(frozen=True, slots=True)
class ContextWindow:
    """Chooses the latest of a conversation that fits; the log itself stays whole.

    Always seen are the prompts, the pinned messages, and of the turn under way the question and the latest
    round of calls of tools, whose results are cut if they are too large. Then come the summary, if there is
    a compaction, and the latest messages. Calls and their results are seen together or not at all. Only
    what the window needs is read from the store.

    Args:
        messages: at most so many of the last messages of the history, not counting those always seen.
        tokens: at most so many tokens in all, with prompts and the tools' schemas. Leave room for the
            answer: a model's limit is usually that of both.
        counter: tokens of one message. By default `estimate_tokens`, which is an estimate.
        pin_system: whether messages of role "system" that stand in the history are pinned. Those with
            ``metadata["pinned"]`` always are.

    Raises:
        InvalidArgumentError: neither `messages` nor `tokens` is given, or one of them is not above 0.

    Example:
        >>> window = ContextWindow(messages=2)
        >>> history = [Message.user("1"), Message.assistant("2"), Message.user("3"), Message.assistant("4")]
        >>> [each.content for each in window.choose(history, question=[Message.user("5")])]
        ['3', '4', '5']
    """

    messages: int | None = None
    tokens: int | None = None
    counter: TokenCounter = field(default=estimate_tokens, repr=False)
    pin_system: bool = True

    def __post_init__(self) -> None:
        if self.messages is None and self.tokens is None:
            raise InvalidArgumentError("a ContextWindow is of messages=, of tokens=, or of both")
        for name in ("messages", "tokens"):
            limit = getattr(self, name)
            if limit is not None and limit < 1:
                raise InvalidArgumentError(f"{name} must be above 0, not {limit!r}")

    def pins(self, message: Message) -> bool:
        """Whether a message of the history is seen however old it is."""
        return bool(message.metadata.get("pinned")) or (self.pin_system and message.role == "system")

    def count(self, messages: Iterable[Message]) -> int:
        """How many tokens messages take."""
        return sum(map(self.counter, messages))

    def choose(
        self,
        history: Sequence[Message],
        *,
        always: Sequence[Message] = (),
        recalled: Sequence[Message] = (),
        summary: Sequence[Message] = (),
        question: Sequence[Message] = (),
        rounds: Sequence[Message] = (),
        overhead: int = 0,
    ) -> list[Message]:
        """What a model is given, in order.

        Args:
            history: of the turns before, without the pinned messages.
            always: seen before all else.
            recalled: of other sessions; seen if it fits.
            summary: of what was said before the history; seen if it fits.
            question: of the turn under way.
            rounds: calls of tools and their results in the turn under way; the oldest give way first.
            overhead: tokens of what else is sent, such as the tools' schemas.

        Raises:
            ContextTooLargeError: what must be seen does not fit.
        """
        earlier, latest = _split_off_the_last(exchanges(rounds))
        latest = self._cut_to_size(latest, overhead + self.count([*always, *question]))
        required = overhead + self.count([*always, *question, *latest])
        if self.tokens is not None and required > self.tokens:
            raise ContextTooLargeError(needed=required, tokens=self.tokens)
        room = None if self.tokens is None else self.tokens - required
        seen_rounds, room = self._last_that_fit(earlier, room, None)
        whole = len(seen_rounds) == sum(map(len, earlier))
        seen_recalled, room = self._last_that_fit([recalled] if recalled and whole else [], room, None)
        seen_summary, room = self._last_that_fit([summary] if summary and whole else [], room, None)
        seen_history, _ = self._last_that_fit(exchanges(history) if whole else [], room, self.messages)
        return [
            *always,
            *seen_recalled,
            *seen_summary,
            *seen_history,
            *question,
            *seen_rounds,
            *latest,
        ]

    def _cut_to_size(self, latest: list[Message], taken: int) -> list[Message]:
        """The latest round, where it does not fit with the largest results of tools cut."""
        if self.tokens is None or taken + self.count(latest) <= self.tokens:
            return latest
        results = sorted((each for each in latest if each.role == "tool"), key=self.counter)
        room = self.tokens - taken - self.count(each for each in latest if each.role != "tool")
        cut: dict[int, Message] = {}
        for left, result in zip(range(len(results), 0, -1), results, strict=True):
            if (share := room // left) < LEAST_OF_A_RESULT:
                return latest
            if self.counter(result) > share:
                bare = self.counter(Message.from_dict({**result, "content": ""})) - self.counter(_EMPTY)
                text = cut_text(text_of(result.content), share - bare, self.counter)
                cut[id(result)] = result = Message.from_dict({**result, "content": text})
            room -= self.counter(result)
        return [cut.get(id(each), each) for each in latest]

    def _last_that_fit(
        self, groups: Sequence[Sequence[Message]], room: int | None, limit: int | None
    ) -> tuple[list[Message], int | None]:
        """The last groups that fit into `room` tokens and `limit` messages, and the room that is left."""
        first = len(groups)
        while first:
            group = groups[first - 1]
            if limit is not None:
                limit -= len(group)
                if limit < 0:
                    break
            if room is not None:
                tokens = self.count(group)
                if tokens > room:
                    break
                room -= tokens
            first -= 1
        return [message for group in groups[first:] for message in group], room


def _split_off_the_last(groups: list[list[Message]]) -> tuple[list[list[Message]], list[Message]]:
    return groups[:-1], groups[-1] if groups else []
