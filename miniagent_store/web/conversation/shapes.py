"""What a message says, whichever framework wrote it.

Known are the messages of chat APIs (OpenAI's two, Anthropic's, Bedrock's, Gemini's) and how LangChain,
LlamaIndex, pydantic-ai, Strands and the Agents SDK keep theirs. Whatever is not known is shown as JSON:
nothing is left out, and nothing of a message can make this fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from miniagent_store.web.conversation.blocks import Answer, Block, Call, Said
from miniagent_store.web.conversation.json_text import brief, json_of, pretty
from miniagent_store.web.conversation.pictures import picture_of

# Who speaks: other names of the four roles.
ROLES = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "response": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
}
# Of a message, what is shown elsewhere than in its pieces.
_KNOWN = {"role", "content", "name", "tool_calls", "tool_call_id", "metadata", "id", "time"}
_CALLS = {"tool_use", "tool-call", "tool_call", "function_call", "toolUse", "functionCall"}
_ANSWERS = {"tool_result", "tool-return", "function_call_output", "function_result"}
_ANSWERS |= {"toolResult", "functionResponse", "function_response"}
_THOUGHTS = {"thinking", "reasoning", "redacted_thinking", "reasoningContent"}
_TEXTS = ("text", "content", "refusal", "output_text")
TEXT_LIMIT = 100_000

Prose = Callable[[str], Block]


def said(value: Mapping[str, Any], prose: Prose) -> Said:
    """What an entry says.

    Args:
        value: as it was appended.
        prose: makes a piece of a text that somebody wrote for people.
    """
    message = _unwrapped(value)
    role = str(message.get("role") or "")
    told = Said(ROLES.get(role.lower(), "other"), str(message.get("name") or role))
    if _is_call(message) or _is_answer(message) or str(message.get("type")) in _THOUGHTS:
        # An item of a log whose items are finer than messages.
        _piece(message, told, prose)
        told.role = "tool" if told.answers else "assistant"
    elif told.role == "tool" and message.get("tool_call_id"):
        told.answers.append(_answer(message))
    elif role or "parts" in message or "blocks" in message:
        _pieces(message, told, prose)
    else:
        told.speaker = str(message.get("type") or message.get("event") or "entry")[:200]
        shown = "type" if "type" in message else "event"
        told.blocks.append(_json({name: each for name, each in message.items() if name != shown}))
    return told


def _pieces(message: Mapping[str, Any], told: Said, prose: Prose) -> None:
    content = message.get("content")
    if isinstance(content, Mapping) and "parts" in content:
        content = content["parts"]
    for part in content if isinstance(content, list | tuple) else [content]:
        _piece(part, told, prose)
    for name in ("parts", "blocks"):
        more = message.get(name)
        for part in more if isinstance(more, list | tuple) else ():
            _piece(part, told, prose)
    extra = message.get("additional_kwargs")
    calls = message.get("tool_calls") or (extra.get("tool_calls") if isinstance(extra, Mapping) else None)
    if calls:
        for call in calls if isinstance(calls, list | tuple) else [calls]:
            told.calls.append(_call(call))
    if not (told.blocks or told.calls or told.answers):
        rest = {name: value for name, value in message.items() if name not in _KNOWN}
        if rest:
            told.blocks.append(_json(rest))


def _piece(part: Any, told: Said, prose: Prose) -> None:
    if part is None or part == "":
        return
    if isinstance(part, str):
        told.blocks.append(prose(part))
        return
    if not isinstance(part, Mapping):
        told.blocks.append(_json(part))
        return
    if _is_call(part):
        told.calls.append(_call(part))
    elif _is_answer(part):
        told.answers.append(_answer(part))
    elif (kind := _kind(part)) in _THOUGHTS:
        told.blocks.append(Block("thought", _text(_inside(part)), label="Thought"))
    elif (picture := picture_of(part)) is not None:
        told.blocks.append(picture)
    elif isinstance(text := next((part[name] for name in _TEXTS if name in part), None), str):
        told.blocks.append(prose(text))
    else:
        told.blocks.append(_json(part, kind))


def _json(value: Any, label: str = "") -> Block:
    return Block("json", json_of(value, limit=TEXT_LIMIT), label=label, brief=brief(value))


def _unwrapped(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message in what a framework keeps around it."""
    inner = value.get("message")
    if "role" not in value and isinstance(inner, str) and inner.startswith("{"):
        try:
            inner = json.loads(inner)
        except ValueError:
            return value
    if "role" not in value and isinstance(inner, Mapping):
        kind = str(inner.get("kind") or "")
        return inner if "role" in inner else {"role": {"request": "user"}.get(kind, kind), **inner}
    data = value.get("data")
    if str(value.get("type")) in ROLES and isinstance(data, Mapping) and "content" in data:
        return {**data, "role": value["type"], "type": "message"}
    if "role" not in value and "author" in value:
        content = value.get("content")
        role = content.get("role") if isinstance(content, Mapping) else None
        return {**value, "role": role or "user", "name": value["author"]}
    return value


def _kind(part: Mapping[str, Any]) -> str:
    kind = part.get("type") or part.get("block_type") or part.get("part_kind")
    if isinstance(kind, str):
        return kind
    # Bedrock's and Gemini's parts are mappings with one key, which says what they are.
    return next((name for name in part if name in _CALLS | _ANSWERS | _THOUGHTS), "")


def _is_call(part: Mapping[str, Any]) -> bool:
    return _kind(part) in _CALLS


def _is_answer(part: Mapping[str, Any]) -> bool:
    return _kind(part) in _ANSWERS


def _inside(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a part of one key holds; else the part."""
    inner = part.get(_kind(part)) if "type" not in part else None
    return inner if isinstance(inner, Mapping) else part


def _call(part: Any) -> Call:
    if not isinstance(part, Mapping):
        return Call("", "call", brief(part), json_of(part, limit=TEXT_LIMIT))
    source = _inside(part)
    function = source.get("function")
    named = function if isinstance(function, Mapping) else source
    arguments = _first(named, "arguments", "args", "input", "tool_kwargs")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            pass  # shown as the text that it is
    shown = arguments if isinstance(arguments, str) else json_of(arguments, limit=TEXT_LIMIT)
    name = _first(named, "name", "tool_name") or "call"
    return Call(_id_of(source), str(name), brief(arguments), shown[:TEXT_LIMIT])


def _answer(part: Mapping[str, Any]) -> Answer:
    source = _inside(part)
    text = _text(_first(source, "content", "output", "response", "result"))
    status = str(source.get("status", ""))
    failed = source.get("is_error") is True or status in {"error", "failed"}
    name = _first(source, "name", "tool_name") or ""
    return Answer(_id_of(source), str(name), brief(text), pretty(text)[:TEXT_LIMIT], failed)


def _id_of(source: Mapping[str, Any]) -> str:
    # Of OpenAI's items, "id" is the item's and "call_id" the call's.
    return str(_first(source, "tool_call_id", "call_id", "tool_use_id", "toolUseId", "tool_id", "id") or "")


def _first(source: Mapping[str, Any], *names: str) -> Any:
    return next((source[name] for name in names if source.get(name) is not None), None)


def _text(value: Any) -> str:
    """A value as text: of parts, that of the text parts where all of them have some."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        texts = [each if isinstance(each, str) else _text_of_part(each) for each in value]
        if texts and all(text is not None for text in texts):
            return "\n".join(text for text in texts if text is not None)
    if isinstance(value, Mapping):
        text = _first(value, "thinking", "text", "reasoningText")
        if text is not None:
            return _text(text)
        if value.get("summary"):
            return _text(value["summary"])
    return json_of(value, limit=TEXT_LIMIT)


def _text_of_part(part: Any) -> str | None:
    text = part.get("text") if isinstance(part, Mapping) else None
    return text if isinstance(text, str) else None
