"""The hook: looks through all that a commit would store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

from miniagent_redaction.rules import RULES, Rule
from miniagent_store import hookimpl
from miniagent_store.errors import ConfigurationError, VetoedError

if TYPE_CHECKING:
    from miniagent_store.store.draft import CommitDraft

# Fields of messages that programs go by; what people write does not stand there.
KEPT_FIELDS = frozenset({"id", "role", "type", "tool_call_id"})


def in_brackets(rule: str, text: str) -> str:
    """``[email]`` for whatever the rule "email" has found."""
    return f"[{rule}]"


class Redaction:
    """A plugin that takes what rules find out of messages, state, metadata and tags before they are stored.

    It sees a commit before it is encoded, so what it takes out is in no value, log, index or backup.

    Args:
        rules: names of `RULES`, or rules of your own; all of `RULES` unless given.
        action: "replace" what is found, or "refuse" the whole commit with a `VetoedError`.
        replacement: given the rule's name and the text, what stands in its place; `in_brackets` by default.
            A keyed hash keeps apart what is different, without telling what it is.
        kept_fields: names of fields that are not looked at.

    Raises:
        ConfigurationError: there is no such rule.

    Example:
        >>> from miniagent_redaction import Redaction
        >>> Redaction(rules=["email"]).redacted("write to ada@example.org")
        'write to [email]'
    """

    def __init__(
        self,
        rules: Iterable[str | Rule] | None = None,
        *,
        action: Literal["replace", "refuse"] = "replace",
        replacement: Callable[[str, str], str] = in_brackets,
        kept_fields: Iterable[str] = KEPT_FIELDS,
    ) -> None:
        if action not in ("replace", "refuse"):
            raise ConfigurationError(f"action={action!r} is neither 'replace' nor 'refuse'")
        self.rules = tuple(map(_rule, RULES if rules is None else rules))
        self._action, self._replacement = action, replacement
        self._kept_fields = frozenset(kept_fields)

    @hookimpl
    def before_commit(self, draft: CommitDraft) -> None:
        """Look through a commit.

        Raises:
            VetoedError: something was found, and the action is to refuse.
        """
        found: set[str] = set()
        for entry in draft.entries:
            entry.value = self._through(entry.value, found)
        for value in draft.values:
            value.value = self._through(value.value, found)
        draft.metadata = self._through(draft.metadata, found)
        draft.initial_metadata = self._through(draft.initial_metadata, found)
        draft.tags = self._tags(draft.tags, found)
        draft.initial_tags = self._tags(draft.initial_tags, found)
        if found and self._action == "refuse":
            # What was found is not said: errors end in logs.
            what = ", ".join(sorted(found))
            raise VetoedError(draft.session_id, reason=f"it holds {what}", plugin="redaction")

    def redacted(self, value: Any) -> Any:
        """`value` with what the rules find replaced, at any depth of lists and mappings."""
        return self._through(value, set())

    # Inside

    def _through(self, value: Any, found: set[str]) -> Any:
        """`value`, or a copy where something in it was replaced."""
        if isinstance(value, str):
            return self._text(value, found)
        if isinstance(value, Mapping):
            fields: Mapping[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
            return {
                self._key(key, found): item if key in self._kept_fields else self._through(item, found)
                for key, item in fields.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            items = cast("list[Any]", value)
            return type(items)(self._through(item, found) for item in items)
        if type(value) is int and abs(value) >= 10**12:
            # A card number without quotes.
            text = self._text(str(value), found)
            return value if text == str(value) else text
        return value

    def _tags(self, tags: tuple[str, ...] | None, found: set[str]) -> tuple[str, ...] | None:
        return None if tags is None else tuple(sorted({self._text(tag, found) for tag in tags}))

    def _key(self, key: Any, found: set[str]) -> Any:
        return self._text(key, found) if isinstance(key, str) else key

    def _text(self, text: str, found: set[str]) -> str:
        for rule in self.rules:
            text = rule.pattern.sub(partial(self._put, rule, found), text)
        return text

    def _put(self, rule: Rule, found: set[str], match: re.Match[str]) -> str:
        if not rule.matches(match[0]):
            return match[0]
        found.add(rule.name)
        return self._replacement(rule.name, match[0])


def _rule(rule: str | Rule) -> Rule:
    if isinstance(rule, Rule):
        return rule
    if rule not in RULES:
        raise ConfigurationError(f"there is no rule {rule!r}; there are {', '.join(RULES)}")
    return RULES[rule]
